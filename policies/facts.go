package policies

import (
	"errors"
	"reflect"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/voussoir-id/voussoir/protocol"
)

// Person is what a condition may know of a person beside the names of her claims:
// facts derived from her identity, never a value of it. What is not known is not
// no: a condition that asks for it fails, and a condition that fails denies.
type Person struct {
	Civil                        bool // the provider gives a civil identity
	AgeKnown                     bool
	Age                          int    // whole years, certainly reached
	Commune, Departement, Region string // of residence, INSEE codes; "": not known
}

// Fact is one thing that a condition can look at.
type Fact struct{ Name, Type, What string }

// ConditionFacts lists everything that a condition can look at, in the order in
// which docs/policies.md explains it.
func ConditionFacts() []Fact {
	return []Fact{
		{"service", "string", "the id of the service"},
		{"provider", "string", "the id of the identity provider that she used"},
		{"acr", "string", "the level that the sign-in reached: eidas1, eidas2 or eidas3"},
		{"acr.reaches(LEVEL)", "bool", "whether it reached this level, or a higher one"},
		{"requested", "list(string)", "the claims that the service asks for"},
		{"known", "list(string)", "the claims that are known of her, asked for or not"},
		{"hour", "int", "the hour in metropolitan France, 0 to 23"},
		{"weekday", "int", "the day there, 1 for Monday to 7 for Sunday"},
		{"person.civil", "bool", "whether the provider gives a civil identity"},
		{"person.age_known", "bool", "whether her age is known"},
		{"person.age_over(YEARS)", "bool", "whether she has certainly reached this age; fails when her age is not known"},
		{"person.residence_known", "bool", "whether the commune that she lives in is known"},
		{"person.lives_in_commune(CODE)", "bool", "whether she lives in this commune; fails when that is not known"},
		{"person.lives_in_departement(CODE)", "bool", "whether she lives in this département; fails when that is not known"},
		{"person.lives_in_region(CODE)", "bool", "whether she lives in this region; fails when that is not known"},
	}
}

// evaluation gives the facts of one decision to conditions, under the names of
// ConditionFacts. It is used by one decision, and so by one goroutine.
type evaluation struct {
	f                *Facts
	asked            []protocol.Asked
	requested, known ref.Val // made when first asked for
}

// Parent is part of cel.Activation: there are no other names.
func (*evaluation) Parent() cel.Activation { return nil }

// ResolveName is part of cel.Activation.
func (e *evaluation) ResolveName(name string) (any, bool) {
	switch name {
	case "service":
		return types.String(e.f.Client.ID), true
	case "provider":
		return types.String(e.f.Provider), true
	case "acr":
		return types.String(e.f.ACR), true
	case "requested":
		if e.requested == nil {
			names := make([]string, len(e.asked))
			for i, a := range e.asked {
				names[i] = string(a.Claim)
			}
			e.requested = types.NewStringList(types.DefaultTypeAdapter, names)
		}
		return e.requested, true
	case "known":
		if e.known == nil {
			e.known = types.NewStringList(types.DefaultTypeAdapter, texts(e.f.Has))
		}
		return e.known, true
	case "hour":
		return types.Int(civilTime(e.f.Now).Hour()), true
	case "weekday":
		return types.Int((int(civilTime(e.f.Now).Weekday())+6)%7 + 1), true
	case "person":
		return (*subject)(&e.f.Person), true
	case "person.civil":
		return types.Bool(e.f.Person.Civil), true
	case "person.age_known":
		return types.Bool(e.f.Person.AgeKnown), true
	case "person.residence_known":
		return types.Bool(e.f.Person.Commune != ""), true
	}
	return nil, false
}

func texts(cs []protocol.Claim) []string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = string(c)
	}
	return out
}

// civilTime is t in metropolitan France: an hour ahead of UTC, two from the last
// Sunday of March to that of October, at 01:00 UTC (directive 2000/84/EC). A
// decision is pure, so that it reads no time zone file.
func civilTime(t time.Time) time.Time {
	t = t.UTC()
	offset := time.Hour
	if !t.Before(lastSunday(t.Year(), time.March)) && t.Before(lastSunday(t.Year(), time.October)) {
		offset = 2 * time.Hour
	}
	return t.Add(offset)
}

// lastSunday is 01:00 UTC on the last Sunday of a month of 31 days.
func lastSunday(year int, month time.Month) time.Time {
	last := time.Date(year, month, 31, 1, 0, 0, 0, time.UTC)
	return last.AddDate(0, 0, -int(last.Weekday()))
}

// subject is person in an expression: something to call functions of, and nothing
// that could be read, compared or written out.
type subject Person

var subjectType = types.NewOpaqueType("person")

var errOpaque = errors.New("person is no value")

// ConvertToNative is part of ref.Val.
func (*subject) ConvertToNative(reflect.Type) (any, error) { return nil, errOpaque } //nolint:revive // the interface wants any

// ConvertToType is part of ref.Val.
func (*subject) ConvertToType(ref.Type) ref.Val { return types.WrapErr(errOpaque) }

// Equal is part of ref.Val.
func (*subject) Equal(ref.Val) ref.Val { return types.WrapErr(errOpaque) }

// Type is part of ref.Val.
func (*subject) Type() ref.Type { return subjectType }

// Value is part of ref.Val.
func (*subject) Value() any { return nil }

var (
	errAge       = errors.New("her age is not known")
	errResidence = errors.New("where she lives is not known")
)

func ageOver(person, years ref.Val) ref.Val {
	p, ok := person.(*subject)
	n, whole := years.(types.Int)
	if !ok || !whole || !p.AgeKnown {
		return types.WrapErr(errAge)
	}
	return types.Bool(int64(p.Age) >= int64(n))
}

// livesIn makes a function that compares one code of her residence.
func livesIn(code func(*subject) string) func(person, code ref.Val) ref.Val {
	return func(person, want ref.Val) ref.Val {
		p, ok := person.(*subject)
		w, text := want.(types.String)
		if !ok || !text || code(p) == "" {
			return types.WrapErr(errResidence)
		}
		return types.Bool(code(p) == string(w))
	}
}

func reaches(acr, level ref.Val) ref.Val {
	a, ok := acr.(types.String)
	l, text := level.(types.String)
	if !ok || !text || !protocol.ACR(l).Known() {
		return types.NewErr("there is no such level")
	}
	return types.Bool(protocol.ACR(a).Reaches(protocol.ACR(l)))
}
