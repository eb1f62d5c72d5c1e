package login

import (
	"net/url"
	"reflect"
	"testing"
)

func TestNew_refusesAMissingCollaborator(t *testing.T) {
	whole := newWorld(t).service.Config
	if _, err := New(whole); err != nil {
		t.Fatal(err)
	}
	fields := reflect.TypeOf(whole)
	for i := range fields.NumField() {
		c := whole
		f := reflect.ValueOf(&c).Elem().Field(i)
		if f.Kind() == reflect.Int64 {
			f.SetInt(-1)
		} else {
			f.SetZero()
		}
		if _, err := New(c); err == nil {
			t.Errorf("New accepts a bad %s", fields.Field(i).Name)
		}
	}
}

func BenchmarkVisit(b *testing.B) {
	w := newWorld(b)
	b.ReportAllocs()
	for b.Loop() {
		v := w.browser()
		to := v.mustStart(request())
		page := v.get(to)
		r := v.post(page.Choose.Action, url.Values{"provider": {"tax"}})
		r = v.signIn("tax", stateIn(b, r.To), "alice")
		if r.code() == "" { // not the first time
			v.agree("email")
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	w := newWorld(b)
	v := w.browser()
	v.identify(request(), "tax", "alice")
	visit, err := w.service.load(b.Context(), v.flow)
	must(b, err)
	b.ReportAllocs()
	for b.Loop() {
		f, err := w.service.sealVisit(visit)
		must(b, err)
		must(b, w.service.unseal(sealFlow, visit.aad(), f.Sealed, visit))
	}
}
