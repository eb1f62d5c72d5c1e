// Package protocol owns the words that every room shares: client and provider
// ids, scopes, claims, levels of assurance, error codes and a validated
// authorization request. It imports nothing of ours, does no I/O and holds no
// state. The names are those of RFC 6749, OpenID Connect Core 1.0 and eIDAS.
package protocol

// ClientID identifies a registered service (RFC 6749 section 2.2).
type ClientID string

// ProviderID identifies an identity provider in our configuration. It is also
// the last segment of that provider's callback path.
type ProviderID string

// Text is a sentence in several languages, keyed by BCP 47 primary language
// ("fr", "en"). Operators write it in the configuration.
type Text map[string]string

// In returns the text in lang, else in English, else in French, else in the
// alphabetically first language there is, else "".
func (t Text) In(lang string) string {
	for _, l := range []string{lang, "en", "fr"} {
		if s := t[l]; s != "" {
			return s
		}
	}
	first := ""
	for l := range t {
		if first == "" || l < first {
			first = l
		}
	}
	return t[first]
}
