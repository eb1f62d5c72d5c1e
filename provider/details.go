package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

const (
	maxDetails      = 8 << 10 // bytes
	maxDetailsInJWT = 2 << 10 // for a client whose access tokens are JWTs, which carry them
	maxDetailItems  = 16
)

// DetailType is one type of authorization details that we understand (RFC 9396
// section 2). Nobody may agree to what she cannot see: a type without Show does
// not start, and a request with details always leads to the consent page.
type DetailType struct {
	Name string
	// Read is strict: it refuses every object that it does not understand as a whole,
	// unknown members too (section 5), and returns it in one canonical form, type
	// included. Its error is told to the service and must not quote the object.
	Read func(object map[string]json.RawMessage) (json.RawMessage, error)
	// Show is what the person reads on the consent page of an object that Read has
	// returned; in French or English at least.
	Show func(object json.RawMessage) protocol.Text
}

// checkDetailTypes refuses a type that could not be read, shown or told apart.
func checkDetailTypes(types []DetailType) error {
	for i, t := range types {
		twice := slices.ContainsFunc(types[:i], func(other DetailType) bool { return other.Name == t.Name })
		switch {
		case t.Name == "" || twice:
			return errors.New("config: a type of authorization details has no name of its own")
		case t.Read == nil || t.Show == nil:
			return fmt.Errorf("config: authorization details of type %s cannot be read or shown", t.Name)
		}
	}
	return nil
}

// detailTypes are the names of the registered types, for the metadata.
func (p *Provider) detailTypes() []string {
	names := make([]string, len(p.DetailTypes))
	for i, t := range p.DetailTypes {
		names[i] = t.Name
	}
	return names
}

func errDetails(why string) *protocol.Error {
	return protocol.Fail(protocol.InvalidAuthorizationDetails, nil, why)
}

// details is the authorization_details parameter. Ignoring one would let a service
// believe that it was granted (RFC 9396 section 5).
func (a params) details() *protocol.Error {
	raw := a.get("authorization_details")
	if raw == "" {
		return nil
	}
	// protocol.Object is what refuses double names and excessive depth.
	if wrapped, err := protocol.Object([]byte(`{"details":` + raw + `}`)); len(raw) > maxDetails || err != nil || len(wrapped) != 1 {
		return errDetails("authorization_details is malformed or too long")
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal([]byte(raw), &list) != nil || len(list) == 0 || len(list) > maxDetailItems {
		return errDetails("authorization_details is no list of objects")
	}
	size := 0
	for _, object := range list {
		d, err := a.detail(object)
		if err != nil {
			return err
		}
		a.req.Details = append(a.req.Details, d)
		size += len(d.Object)
	}
	if a.client.AccessTokenFormat == clients.JWT && size > maxDetailsInJWT {
		return errDetails("authorization_details is too long for a JWT access token")
	}
	a.req.Prompt.Consent = true // whatever she agreed to before: she has not seen these
	return nil
}

// detail reads one object by its type, if this client may ask for the type.
func (a params) detail(object map[string]json.RawMessage) (protocol.Detail, *protocol.Error) {
	name, ok := text(object["type"])
	i := slices.IndexFunc(a.p.DetailTypes, func(t DetailType) bool { return t.Name == name })
	if !ok || i < 0 {
		return protocol.Detail{}, errDetails("authorization_details holds a type that is missing or unknown")
	}
	if !slices.Contains(a.client.AuthorizationDetailTypes, name) {
		return protocol.Detail{}, errDetails("this client may not ask for authorization details of type " + name)
	}
	t := a.p.DetailTypes[i]
	read, err := t.Read(object)
	if err != nil {
		return protocol.Detail{}, errDetails("authorization_details of type " + name + ": " + err.Error())
	}
	// It goes into tokens as it is: a type that wrote something else would break them.
	m, err := protocol.Object(read)
	if same, _ := text(m["type"]); err != nil || same != name {
		return protocol.Detail{}, errDetails("authorization_details of type " + name + " cannot be read")
	}
	shown := t.Show(read)
	if shown["fr"] == "" && shown["en"] == "" {
		return protocol.Detail{}, errDetails("authorization_details of type " + name + " cannot be shown to the person")
	}
	return protocol.Detail{Type: name, Object: read, Shown: shown}, nil
}

// grantedDetails is what a token response or a token says was granted: the objects
// without our words about them. With types it is only those; nil for none.
func grantedDetails(details []protocol.Detail, types ...string) []json.RawMessage {
	var out []json.RawMessage
	for _, d := range details {
		if len(types) == 0 || slices.Contains(types, d.Type) {
			out = append(out, d.Object)
		}
	}
	return out
}
