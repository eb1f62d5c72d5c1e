package web

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
)

// Statistics are open figures of the last days, the oldest first. They are for
// everybody, and hold nothing about few people.
type Statistics struct {
	Days    []StatisticsDay
	Least   int // different people, below whom nothing is shown
	Licence Licence
}

// Licence is under which terms the figures may be used.
type Licence struct{ Name, URL string }

// StatisticsDay is one.
type StatisticsDay struct {
	Date     string // YYYY-MM-DD, UTC
	Total    int64
	Services []Figure
}

// Figure is how often. Name is nil where the id says it all.
type Figure struct {
	ID   string
	Name protocol.Text
	N    int64
}

// statisticsAge is how long figures may be shown again, in seconds: they change once a day.
const statisticsAge = 600

// StatisticsJSON answers with all days as JSON.
func (s *Site) StatisticsJSON(w http.ResponseWriter, _ *http.Request, p Statistics) error {
	b, err := json.Marshal(statisticsDocument(p))
	if err != nil {
		return err
	}
	return openData(w, "application/json", b)
}

type (
	statisticsFile struct {
		Licence licenceFile         `json:"licence"`
		Least   int                 `json:"least_people"`
		Days    []statisticsFileDay `json:"days"`
	}
	licenceFile struct {
		Name string `json:"name"`
		URL  string `json:"url"`
	}
	statisticsFileDay struct {
		Date     string          `json:"date"`
		Total    int64           `json:"sign_ins"`
		Services []statisticsNum `json:"services"`
	}
	statisticsNum struct {
		ID   string        `json:"id"`
		Name protocol.Text `json:"name,omitempty"`
		N    int64         `json:"sign_ins"`
	}
)

func statisticsDocument(p Statistics) statisticsFile {
	out := statisticsFile{Licence: licenceFile(p.Licence), Least: p.Least, Days: []statisticsFileDay{}}
	for _, d := range p.Days {
		day := statisticsFileDay{Date: d.Date, Total: d.Total, Services: []statisticsNum{}}
		for _, f := range d.Services {
			day.Services = append(day.Services, statisticsNum(f))
		}
		out.Days = append(out.Days, day)
	}
	return out
}

// StatisticsCSV answers with all days as CSV (RFC 4180).
func (s *Site) StatisticsCSV(w http.ResponseWriter, _ *http.Request, p Statistics) error {
	var b strings.Builder
	out := csv.NewWriter(&b)
	out.UseCRLF = true
	rows := [][]string{{"date", "table", "id", "sign_ins"}}
	for _, d := range p.Days {
		rows = append(rows, []string{d.Date, "total", "", strconv.FormatInt(d.Total, 10)})
		for _, f := range d.Services {
			rows = append(rows, []string{d.Date, "service", noFormula(f.ID), strconv.FormatInt(f.N, 10)})
		}
	}
	if err := out.WriteAll(rows); err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="statistics.csv"`)
	return openData(w, "text/csv; charset=utf-8; header=present", []byte(b.String()))
}

// noFormula keeps a spreadsheet from calculating with what is a name.
func noFormula(v string) string {
	if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
		return "'" + v
	}
	return v
}

func openData(w http.ResponseWriter, mediaType string, b []byte) error {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(statisticsAge))
	h.Set("Access-Control-Allow-Origin", "*")
	_, err := w.Write(b)
	return err
}

type statisticsView struct {
	Date, Least, Licence, LicenceURL string
	None                             bool // no day has been counted
	Services                         []barLine
	Withheld                         bool // nothing of the last day is about enough people
	Chart                            []column
	First, Last                      string
}

// barLine is a line of a table with its bar, from 0 to 100.
type barLine struct {
	Name, N string
	Bar     int64
}

// column is a day of the chart: a bar of a width of 8 in a field of 10, from the bottom of
// 60.
type column struct {
	X      int
	Y, H   int64
	Date   string
	Number string
}

const chartHeight = 60

func (in *words) statistics(p *Statistics) *statisticsView {
	if p == nil {
		return nil
	}
	v := &statisticsView{Least: strconv.Itoa(p.Least), Licence: clean(p.Licence.Name), LicenceURL: p.Licence.URL, None: len(p.Days) == 0}
	if v.None {
		return v
	}
	last := p.Days[len(p.Days)-1]
	v.Date, v.Withheld = in.date(last.Date), len(last.Services) == 0
	named := func(f Figure) string { return clean(f.Name.In(in.lang)) }
	v.Services = bars(last.Services, func(f Figure) string {
		if name := named(f); name != "" {
			return name
		}
		return clean(f.ID)
	})
	most := int64(1)
	for _, d := range p.Days {
		most = max(most, d.Total)
	}
	for i, d := range p.Days {
		h := d.Total * chartHeight / most
		v.Chart = append(v.Chart, column{X: 10 * i, Y: chartHeight - h, H: h, Date: in.date(d.Date), Number: strconv.FormatInt(d.Total, 10)})
	}
	v.First, v.Last = in.date(p.Days[0].Date), v.Date
	return v
}

func bars(all []Figure, name func(Figure) string) []barLine {
	most := int64(1)
	for _, f := range all {
		most = max(most, f.N)
	}
	var out []barLine
	for _, f := range all {
		out = append(out, barLine{Name: name(f), N: strconv.FormatInt(f.N, 10), Bar: f.N * 100 / most})
	}
	return out
}
