package federation_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/federation"
)

func TestReasonOf_WhoIsNearestToWhatWentWrongKnowsBest(t *testing.T) {
	plain := errors.New("x")
	of := func(k federation.Kind, err error) error {
		return &federation.Error{Provider: "tax", Kind: k, Err: err}
	}
	for name, tt := range map[string]struct {
		err  error
		want federation.Reason
	}{
		"its own": {of(federation.Invalid, federation.Because(federation.ReasonIssuer, plain)), federation.ReasonIssuer},
		"its own, whatever the step says": {
			federation.Because(federation.ReasonUserInfo, of(federation.Invalid, federation.Because(federation.ReasonSubject, plain))), federation.ReasonSubject,
		},
		"that of the step":                 {federation.Because(federation.ReasonUserInfo, of(federation.Invalid, plain)), federation.ReasonUserInfo},
		"its own, whatever its kind":       {of(federation.Unavailable, federation.Because(federation.ReasonKeys, plain)), federation.ReasonKeys},
		"what follows: cancelled":          {of(federation.Cancelled, plain), federation.ReasonCancelled},
		"what follows: refused":            {of(federation.Refused, plain), federation.ReasonRefused},
		"what follows: unreachable":        {of(federation.Unavailable, plain), federation.ReasonUnreached},
		"what follows: level":              {of(federation.TooWeak, plain), federation.ReasonLevel},
		"what follows: age":                {of(federation.TooOld, plain), federation.ReasonAge},
		"what follows: identity":           {of(federation.BadIdentity, plain), federation.ReasonIdentity},
		"nothing is known but the verdict": {of(federation.Invalid, plain), federation.ReasonInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if got := federation.ReasonOf(tt.err); got != tt.want {
				t.Errorf("ReasonOf = %q, want %q", got, tt.want)
			}
			if _, ok := errors.AsType[*federation.Error](tt.err); !ok {
				t.Error("it is no *Error any more")
			}
		})
	}
	if federation.Because(federation.ReasonIssuer, nil) != nil {
		t.Error("nothing has a reason")
	}
}

func TestLogRefused_OneLineForWhatIsAProvidersFault(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	e := &federation.Error{Provider: "tax", Kind: federation.Invalid, Err: federation.Because(federation.ReasonTime, errors.New("ID token: expired"))}
	federation.LogRefused(t.Context(), log, "tax", e)
	federation.LogRefused(t.Context(), log, "tax", &federation.Error{Kind: federation.Cancelled, Err: errors.New("answered access_denied")})
	federation.LogRefused(t.Context(), log, "tax", errors.New("the disk is full"))
	federation.LogRefused(t.Context(), log, "tax", nil)
	want := `level=WARN msg="provider's answer refused" provider=tax reason=time why="ID token: expired"` + "\n" +
		`level=INFO msg="provider's answer refused" provider=tax reason=cancelled why="answered access_denied"` + "\n"
	if out.String() != want {
		t.Errorf("log:\n%swant:\n%s", &out, want)
	}
}

// TestReasons_AreOnTheOperatorsPage: each reason has a row, and no row has another.
func TestReasons_AreOnTheOperatorsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/hostile-providers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## Reasons")
	table, _, _ = strings.Cut(table, "\n## ")
	var rows []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| [^|]{10,} \\| [^|]{5,} \\|$").FindAllStringSubmatch(table, -1) {
		rows = append(rows, m[1])
	}
	var want []string
	for _, r := range federation.Reasons() {
		want = append(want, string(r))
	}
	if !slices.Equal(rows, want) {
		t.Errorf("the page has the rows %q, want %q", rows, want)
	}
	source, err := os.ReadFile("reason.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(regexp.MustCompile(`(?m)^\tReason\w+ +Reason = `).FindAllString(string(source), -1)); n != len(want) {
		t.Errorf("%d reasons are declared and %d listed", n, len(want))
	}
}
