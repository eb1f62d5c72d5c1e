package stats

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/audit"
)

// memory is a Store; the real one has tests of its own.
type memory struct {
	log  []Entry
	days []Day
	upTo int64
	fail bool
}

var errDown = errors.New("the store is down")

func (m *memory) LastDay(context.Context) (string, int64, error) {
	if len(m.days) == 0 {
		return "", 0, nil
	}
	return m.days[len(m.days)-1].Date, m.upTo, nil
}

func (m *memory) LogEntries(_ context.Context, after int64, limit int) ([]Entry, error) {
	if m.fail {
		return nil, errDown
	}
	from := slices.IndexFunc(m.log, func(e Entry) bool { return e.Seq > after })
	if from < 0 {
		return nil, nil
	}
	return m.log[from:min(from+limit, len(m.log))], nil
}

func (m *memory) PutDay(_ context.Context, d Day, upTo int64) error {
	m.days, m.upTo = append(m.days, d), upTo
	return nil
}

func (m *memory) Days(context.Context, string) ([]Day, error) { return m.days, nil }

func (m *memory) add(t fataler, at string, kind audit.Kind, client, acr string, person byte) {
	t.Helper()
	when, err := time.Parse(time.RFC3339, at)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(audit.Public{Time: when, Kind: kind, Client: client, ACR: acr})
	if err != nil {
		t.Fatal(err)
	}
	e := Entry{Seq: int64(len(m.log) + 1), Time: when, Public: b}
	if person != 0 {
		e.Of = [32]byte{person}
	}
	m.log = append(m.log, e)
}

func countAll(t *testing.T, m *memory, now string) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(m, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	for {
		more, err := c.Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

func TestCount_EachEntryOnItsDayAndOnceWhateverTheOrder(t *testing.T) {
	m := &memory{}
	m.add(t, "2026-03-01T10:00:00Z", audit.ConsentGiven, "library", "eidas1", 1)
	m.add(t, "2026-03-01T11:00:00Z", audit.ConsentStanding, "library", "eidas2", 1)
	m.add(t, "2026-03-01T12:00:00Z", audit.ConsentRefused, "library", "eidas1", 2)
	m.add(t, "2026-03-01T12:00:00Z", audit.ConfigLoaded, "", "", 0)
	m.add(t, "2026-03-01T12:00:00Z", audit.TokenIssued, "library", "eidas1", 1)
	m.add(t, "2026-03-02T00:00:01Z", audit.ConsentGiven, "theatre", "eidas1", 3) // written early, by a clock that is ahead
	m.add(t, "2026-03-01T23:59:59Z", audit.ProviderFailed, "library", "", 0)     // and late
	m.add(t, "2026-03-02T00:00:02Z", audit.Informed, "theatre", "eidas1", 3)
	m.add(t, "2026-03-04T08:00:00Z", audit.LoginDenied, "theatre", "", 0)
	countAll(t, m, "2026-03-05T00:09:59Z") // the fourth is not settled
	want := []Day{
		{"2026-03-01", []Cell{
			{"library", "", Failed, false, 1, 0}, {"library", "eidas1", Passed, false, 1, 1}, {"library", "eidas2", Passed, false, 1, 1},
			{"library", "eidas1", Refused, false, 1, 1}, {"library", "", Passed, true, 2, 1},
		}},
		{"2026-03-02", []Cell{{"theatre", "eidas1", Passed, false, 2, 1}, {"theatre", "", Passed, true, 2, 1}}},
		{"2026-03-03", nil},
	}
	if !reflect.DeepEqual(m.days, want) {
		t.Errorf("got  %+v\nwant %+v", m.days, want)
	}
	countAll(t, m, "2026-03-05T00:10:00Z")
	if n := len(m.days); n != 4 || m.days[3].Date != "2026-03-04" || m.upTo != 9 {
		t.Errorf("%d days, up to %d", n, m.upTo)
	}
}

func TestCount_UnknownIsNotZero(t *testing.T) {
	m := &memory{fail: true}
	c, err := New(m, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Count(t.Context()); !errors.Is(err, errDown) || len(m.days) != 0 {
		t.Errorf("Count: %v, days %v", err, m.days)
	}
	m = &memory{log: []Entry{{Seq: 1, Time: time.Unix(0, 0), Public: []byte("?")}}}
	if c, err = New(m, time.Now); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Count(t.Context()); err == nil || len(m.days) != 0 {
		t.Errorf("an entry that cannot be read: %v, days %v", err, m.days)
	}
}

// dayOf makes a day out of visits.
func dayOf(t fataler, visits []visit) Day {
	m := &memory{}
	for _, v := range visits {
		m.add(t, "2026-03-01T10:00:00Z", v.kind, v.service, v.level, 0)
		binary.BigEndian.PutUint32(m.log[len(m.log)-1].Of[:], v.person+1)
	}
	all := tally{}
	for _, e := range m.log {
		if err := all.add(e); err != nil {
			t.Fatal(err)
		}
	}
	return Day{"2026-03-01", all.cells()}
}

type visit struct {
	kind           audit.Kind
	service, level string
	person         uint32
}

func visits(service string, people int, level string) (out []visit) {
	for i := range people {
		out = append(out, visit{audit.ConsentGiven, service, level, uint32(i)})
	}
	return out
}

func TestPublish_ShowsWhatIsAboutEnoughPeople(t *testing.T) {
	day := dayOf(t, slices.Concat(visits("library", 37, "eidas1"), visits("theatre", 9, "eidas1"), visits("town", 10, "eidas2")))
	want := Published{
		Date: "2026-03-01", Services: []Number{{"library", 30}, {"town", 10}}, Total: 40,
	}
	if got := Publish(day, 10); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestPublish_ManyVisitsOfFewPeopleAreFewPeople(t *testing.T) {
	var all []visit
	for i := range 500 {
		all = append(all, visit{audit.ConsentStanding, "library", "eidas1", uint32(i % 9)})
	}
	if got := Publish(dayOf(t, all), 10); len(got.Services) != 0 || got.Total != 0 {
		t.Errorf("got %+v", got)
	}
}

// TestPublish_NothingOfAWithheldServiceShows is the reason why no subtraction gives a
// small number: whatever happened at a service that is not shown, the same is published.
func TestPublish_NothingOfAWithheldServiceShows(t *testing.T) {
	kinds := []audit.Kind{audit.ConsentGiven, audit.ConsentStanding, audit.ConsentRefused, audit.LoginDenied, audit.ProviderFailed}
	some := func(people uint32, services ...string) *rapid.Generator[visit] {
		return rapid.Custom(func(t *rapid.T) visit {
			return visit{
				rapid.SampledFrom(kinds).Draw(t, "kind"), rapid.SampledFrom(services).Draw(t, "service"),
				rapid.SampledFrom([]string{"eidas1", "eidas2"}).Draw(t, "level"), rapid.Uint32Range(0, people).Draw(t, "person"),
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		const k = 5
		large := rapid.SliceOfN(some(40, "library", "town"), 0, 120).Draw(t, "large")
		small := rapid.SliceOfN(some(k-2, "shelter", "clinic"), 0, 60).Draw(t, "small") // k-1 people at most
		other := rapid.SliceOfN(some(k-2, "shelter", "clinic"), 0, 60).Draw(t, "other")
		one := Publish(dayOf(t, slices.Concat(large, small)), k)
		two := Publish(dayOf(t, slices.Concat(large, other)), k)
		if !reflect.DeepEqual(one, two) {
			t.Errorf("what few people did shows:\n%+v\n%+v", one, two)
		}
		sum := int64(0)
		for _, s := range one.Services {
			if s.N < k || s.N%k != 0 {
				t.Errorf("%s: %d", s.Name, s.N)
			}
			sum += s.N
		}
		if sum != one.Total {
			t.Errorf("the total %d is not the sum %d of what is shown", one.Total, sum)
		}
	})
}

// fataler is a test, or a try of a property.
type fataler interface {
	Helper()
	Fatal(args ...any)
}
