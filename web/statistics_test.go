package web

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func figures() *Statistics {
	return &Statistics{
		Least: 10, Licence: Licence{"Licence Ouverte 2.0", "https://www.etalab.gouv.fr/licence-ouverte-open-licence"},
		Days: []StatisticsDay{
			{Date: "2026-03-03", Total: 40, Services: []Figure{{"library", text("Médiathèque", "City library"), 40}}},
			{Date: "2026-03-04"},
			{
				Date: "2026-03-05", Total: 80, Services: []Figure{{"library", text("Médiathèque", "City library"), 50}, {"=gone", nil, 30}},
			},
		},
	}
}

func TestStatistics_AsOpenData(t *testing.T) {
	s := newSite(t, io.Discard)
	for _, c := range []struct {
		name, mediaType, want string
		do                    func(http.ResponseWriter, *http.Request, Statistics) error
	}{
		{"CSV", "text/csv; charset=utf-8; header=present", "date,table,id,sign_ins\r\n2026-03-03,total,,40\r\n2026-03-03,service,library,40\r\n2026-03-04,total,,0\r\n" +
			"2026-03-05,total,,80\r\n2026-03-05,service,library,50\r\n2026-03-05,service,'=gone,30\r\n", s.StatisticsCSV},
		{"JSON", "application/json", `{"licence":{"name":"Licence Ouverte 2.0","url":"https://www.etalab.gouv.fr/licence-ouverte-open-licence"},"least_people":10,"days":[` +
			`{"date":"2026-03-03","sign_ins":40,"services":[{"id":"library","name":{"en":"City library","fr":"Médiathèque"},"sign_ins":40}]},` +
			`{"date":"2026-03-04","sign_ins":0,"services":[]},` +
			`{"date":"2026-03-05","sign_ins":80,"services":[{"id":"library","name":{"en":"City library","fr":"Médiathèque"},"sign_ins":50},{"id":"=gone","sign_ins":30}]}]}`, s.StatisticsJSON},
	} {
		w := get(s.API("statistics", func(w http.ResponseWriter, r *http.Request) error { return c.do(w, r, *figures()) }), "/status/statistics", "fr")
		if got := w.Body.String(); got != c.want || w.Header().Get("Content-Type") != c.mediaType {
			t.Errorf("%s: %s\n%s\nwant\n%s", c.name, w.Header().Get("Content-Type"), got, c.want)
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Cache-Control") != "public, max-age=600" {
			t.Errorf("%s: headers %v", c.name, w.Header())
		}
	}
}

func TestStatistics_WithoutADayNorEnoughPeople(t *testing.T) {
	s := newSite(t, io.Discard)
	for want, days := range map[string][]StatisticsDay{
		"No day has been counted yet.": nil,
		"too few people":               {{Date: "2026-03-05"}},
	} {
		w := get(s.Page("status", func(w http.ResponseWriter, r *http.Request) error {
			return s.Status(w, r, StatusPage{Statistics: &Statistics{Days: days, Least: 10}})
		}), "/status", "en")
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	var none map[string]any
	w := get(s.API("statistics", func(w http.ResponseWriter, r *http.Request) error { return s.StatisticsJSON(w, r, Statistics{}) }), "/", "en")
	if err := json.Unmarshal(w.Body.Bytes(), &none); err != nil || none["days"] == nil {
		t.Errorf("without a day: %s", w.Body)
	}
}
