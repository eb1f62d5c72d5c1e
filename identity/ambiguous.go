package identity

import "errors"

// ErrAmbiguous: the alias already leads to another person. Persons are never
// merged; the login is refused and an operator looks at it.
var ErrAmbiguous = errors.New("the alias leads to another person")
