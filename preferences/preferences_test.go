package preferences

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// memory keeps the choices of one person, by the contract of Store.
type memory struct {
	choices map[protocol.ProviderID]Choice
	entries []audit.Event
	down    bool
}

func (m *memory) Choices(context.Context, identity.PersonID) ([]Choice, error) {
	if m.down {
		return nil, errors.New("down")
	}
	var out []Choice
	for _, c := range m.choices {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Choice) int { return cmp.Compare(a.Provider, b.Provider) })
	return out, nil
}

func (m *memory) Choose(_ context.Context, _ identity.PersonID, set, fresh []Choice, _ audit.Entry) error {
	for _, c := range set {
		m.choices[c.Provider] = c
	}
	for _, c := range fresh {
		if _, said := m.choices[c.Provider]; !said {
			m.choices[c.Provider] = c
		}
	}
	return nil
}

func (m *memory) Prepare(e audit.Event) (audit.Entry, error) {
	m.entries = append(m.entries, e)
	return audit.Entry{}, nil
}

func newService(t *testing.T) (*Service, *memory, *[]protocol.ProviderID) {
	t.Helper()
	m, known := &memory{choices: map[protocol.ProviderID]Choice{}}, &[]protocol.ProviderID{"tax", "post", "city"}
	s, err := New(Config{Store: m, Audit: m, Known: func() []protocol.ProviderID { return *known }, Now: func() time.Time { return time.Unix(1, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return s, m, known
}

func TestProviders(t *testing.T) {
	type step struct {
		do   string // block, unblock, or appears: a provider is new
		id   protocol.ProviderID
		want error
	}
	tests := []struct {
		name  string
		steps []step
		want  []protocol.ProviderID // that are blocked in the end
	}{
		{"nothing is blocked to begin with", nil, nil},
		{"one that she blocked", []step{{"block", "tax", nil}}, []protocol.ProviderID{"tax"}},
		{"not one that she allowed again", []step{{"block", "tax", nil}, {"unblock", "tax", nil}}, nil},
		{"those to come, and none that is there", []step{{"block", Future, nil}, {"appears", "bank", nil}}, []protocol.ProviderID{"bank"}},
		{"one to come that she allowed", []step{{"block", Future, nil}, {"appears", "bank", nil}, {"unblock", "bank", nil}}, nil},
		{"those that she blocked by name stay blocked with those to come", []step{{"block", "tax", nil}, {"block", Future, nil}}, []protocol.ProviderID{"tax"}},
		{"none to come once she has changed her mind", []step{{"block", Future, nil}, {"appears", "bank", nil}, {"unblock", Future, nil}}, nil},
		{"what came in between counts as there", []step{{"block", Future, nil}, {"unblock", Future, nil}, {"appears", "bank", nil}, {"block", Future, nil}, {"appears", "club", nil}}, []protocol.ProviderID{"club"}},
		{"never the last, or she could not come back", []step{{"block", "tax", nil}, {"block", "post", nil}, {"block", "city", ErrLast}}, []protocol.ProviderID{"tax", "post"}},
		{"none that does not exist", []step{{"block", "nowhere", ErrUnknown}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _, known := newService(t)
			person := identity.Person{ID: identity.PersonID{1}}
			for _, step := range tt.steps {
				var err error
				switch step.do {
				case "block":
					err = s.Block(t.Context(), person, step.id)
				case "unblock":
					err = s.Unblock(t.Context(), person, step.id)
				default:
					*known = append(*known, step.id)
				}
				if !errors.Is(err, step.want) {
					t.Fatalf("%s %s: %v, want %v", step.do, step.id, err, step.want)
				}
			}
			said, err := s.List(t.Context(), person.ID)
			if err != nil {
				t.Fatal(err)
			}
			var got []protocol.ProviderID
			for _, id := range *known {
				if said.Blocks(id) {
					got = append(got, id)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("blocked: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestProviders_TheRecordNamesTheProviderToNobodyElse(t *testing.T) {
	s, m, _ := newService(t)
	if err := s.Block(t.Context(), identity.Person{ID: identity.PersonID{1}, SealKey: []byte("hers")}, "tax"); err != nil {
		t.Fatal(err)
	}
	want := audit.Event{
		Public:   audit.Public{Kind: audit.ProviderBlocked, Outcome: "ok"},
		Personal: audit.Personal{Person: identity.PersonID{1}.String(), Provider: "tax"}, SealKey: []byte("hers"),
	}
	if got := fmt.Sprintf("%+v", m.entries); got != fmt.Sprintf("%+v", []audit.Event{want}) {
		t.Errorf("entries: %s", got)
	}
}

func TestProviders_WhenNobodyCanTellNothingIsSaid(t *testing.T) {
	s, m, _ := newService(t)
	m.down = true
	if _, err := s.List(t.Context(), identity.PersonID{1}); err == nil {
		t.Error("List without a store gave an answer")
	}
	if err := s.Block(t.Context(), identity.Person{ID: identity.PersonID{1}}, "tax"); err == nil || len(m.entries) > 0 {
		t.Errorf("Block = %v, entries %v", err, m.entries)
	}
}

func TestNew_RefusesAMissingCollaborator(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("New without anything")
	}
}
