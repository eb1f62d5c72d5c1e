// Package audit is the append-only log of what the broker did. An entry has a
// public part (time, kind, client, policy, rule, claim names, level, outcome)
// and a sealed personal part (person, flow, grant, provider); its leaf is a hash of
// the public part and of a salted hash of the sealed part, so that the Merkle
// tree over the leaves still verifies after a person's key is destroyed. No
// entry ever holds a claim value. Entries are added, never changed or removed.
//
// Log writes entries, Sequencer brings them into the tree, Tree serves it and
// proves, Verifier re-reads everything; leaf.go says what a leaf is made of, and
// docs/audit.md what all of it is good for. The room decides nothing and imports
// nothing of ours.
package audit

import (
	"context"
	"time"
)

// Kind names what happened; see docs/life-of-a-login.md for each.
type Kind string

// The kinds of entry.
const (
	LoginStarted        Kind = "login.started"      // a valid request arrived
	ProviderChosen      Kind = "provider.chosen"    // the person left for a provider
	ProviderFailed      Kind = "provider.failed"    // it refused, or its answer did not hold
	LoginVerified       Kind = "login.verified"     // an identity was verified
	LoginDenied         Kind = "login.denied"       // policy denied
	ConsentGiven        Kind = "consent.given"      // she agreed; claims released
	ConsentRefused      Kind = "consent.refused"    // she refused
	Informed            Kind = "consent.informed"   // informed on another basis; claims released
	ConsentStanding     Kind = "consent.standing"   // an earlier answer covered it; claims released
	ConsentWithdrawn    Kind = "consent.withdrawn"  // she took an answer back; claims: what she had agreed to
	ConsentExpired      Kind = "consent.expired"    // the time of a remembered answer was over
	ConsentSuperseded   Kind = "consent.superseded" // a newer answer took the place of a remembered one
	EventDelivered      Kind = "event.delivered"    // a service took the news of a withdrawal
	EventFailed         Kind = "event.failed"       // it did not, and is not told again; outcome: why
	TokenIssued         Kind = "token.issued"
	CodeReused          Kind = "code.reused" // second use: what the first bought is revoked
	CodeMisused         Kind = "code.misused"
	UserInfoServed      Kind = "userinfo.served"
	IntrospectionServed Kind = "introspection.served" // client: the data provider; object: the service that showed it the token
	TokenRevoked        Kind = "token.revoked"        // by its own client; rule: code, access or refresh
	TokenRefreshed      Kind = "token.refreshed"      // by a refresh token; claims: none leave
	RefreshReused       Kind = "refresh.reused"       // a used one came again: its family is ended
	RefreshMisused      Kind = "refresh.misused"      // by another client, or with another key
	SessionEnded        Kind = "session.ended"        // she logged out, or another person signed in; client: the service that asked
	LogoutDelivered     Kind = "logout.delivered"     // a service took the news of the end
	LogoutFailed        Kind = "logout.failed"        // it did not, and is not told again; outcome: why
	RegistryChecked     Kind = "registry.checked"     // outcome: what the civil registry said; rule: grace, where it was not reached
	KeyGenerated        Kind = "key.generated"
	KeyRotated          Kind = "key.rotated"
	KeyRevoked          Kind = "key.revoked"
	ConfigLoaded        Kind = "config.loaded"
	ClientRegistered    Kind = "client.registered" // by API; object: the id of its initial access token
	ClientUpdated       Kind = "client.updated"    // likewise
	ClientDeleted       Kind = "client.deleted"    // likewise; rule operator: by a command
	ClientKilled        Kind = "client.killed"     // taken out of service by an operator's command
	ClientRestored      Kind = "client.restored"   // and back into it
	ProviderKilled      Kind = "provider.killed"   // likewise; object: the provider
	ProviderRestored    Kind = "provider.restored" // likewise
	PersonKilled        Kind = "person.killed"     // likewise; who is in the sealed part
	PersonRestored      Kind = "person.restored"   // likewise
	ProviderBlocked     Kind = "provider.blocked"  // the person wants it not to be used in her name; which one is in the sealed part
	ProviderUnblocked   Kind = "provider.unblocked"
	ContextSuspicious   Kind = "context.suspicious" // a trusted proxy warned of a visit; acr: the level that it needs now
	MisuseReported      Kind = "misuse.reported"    // somebody says that a sign-in was not hers; object: the event code; what she wrote is with the operator
	RecordExported      Kind = "record.exported"    // she took all that is kept of her away, herself
	RecordClosed        Kind = "record.closed"      // she had all that is kept of her destroyed; it does not say who
	PersonalExpired     Kind = "personal.expired"   // personal parts reach the end of their time; object: the first index that keeps its own
)

// Public is the part of an entry that anyone may read. JSON names are part of
// the format; a new field is added at the end with omitempty.
type Public struct {
	Time          time.Time `json:"time"` // UTC, microseconds
	Kind          Kind      `json:"kind"`
	Client        string    `json:"client,omitempty"`
	Policy        string    `json:"policy,omitempty"`
	PolicyVersion int       `json:"policy_version,omitempty"`
	Rule          string    `json:"rule,omitempty"`
	Claims        []string  `json:"claims,omitempty"` // names, never values
	ACR           string    `json:"acr,omitempty"`
	Outcome       string    `json:"outcome,omitempty"` // "ok" or an error code
	Basis         string    `json:"basis,omitempty"`
	Object        string    `json:"object,omitempty"`       // key id, configuration digest or another client, for entries about those
	OfflineUntil  time.Time `json:"offline_until,omitzero"` // until when the service may come back while the person is away
}

// Personal is the part that is sealed.
type Personal struct {
	Person   string `json:"person,omitempty"` // hex PersonID
	Flow     string `json:"flow,omitempty"`
	Grant    string `json:"grant,omitempty"`
	Provider string `json:"provider,omitempty"`
	// Reasons are "claim: rule, claim: rule", of an identity that was refused, or taken in part.
	// They hold no value, but with a small service they could say something of her.
	Reasons string `json:"reasons,omitempty"`
}

// Event is what a room hands in. The time is set by the log.
type Event struct {
	Public   Public
	Personal Personal
	SealKey  []byte // the person's wrapped key; nil while the person is not known
}

// Entry is an event as it is stored.
type Entry struct {
	Version Version  // not stored with the entry: the tree knows it
	ID      [16]byte // random
	Time    time.Time
	Public  []byte   // canonical JSON of Public
	Sealed  []byte   // 32 bytes of salt, then Personal under the person's key or the log's own
	Leaf    [32]byte // see LeafHash
	Of      [32]byte // what her entries are found by; zero: it is about nobody, or comes from a store. No part of what it says
}

// Receipt tells where an entry is. Index is its place in the tree; -1: it has none
// yet.
type Receipt struct {
	ID    [16]byte
	Index int64
}

// Sealer seals a personal part. A nil wrapped key means the log's own key.
// Implemented by keys.Ring.
type Sealer interface {
	SealUnder(wrapped []byte, aad, plaintext []byte) ([]byte, error)
	OpenUnder(wrapped []byte, aad, sealed []byte) ([]byte, error)
}

// Store keeps entries. AppendEntries is durable when it returns nil, all or
// nothing, and safe for concurrent use.
type Store interface {
	AppendEntries(ctx context.Context, e ...Entry) error
}
