package voussoir_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/voussoir-id/voussoir/"

// rooms is the import map: which of our rooms a room may import, and does; "*" is
// all. Everything else is forbidden, folders of the same kind included. Why it
// differs from the first design: docs/decisions/0011-import-map.md.
var rooms = map[string][]string{
	"protocol":            {},
	"audit":               {},
	"failpoint":           {},
	"outbound":            {},
	"cog":                 {},
	"cog/gen":             {},
	"signer":              {},
	"metrics":             {"protocol"},
	"notices":             {"outbound", "failpoint"},
	"clients":             {"protocol"},
	"identity":            {"protocol", "cog"},
	"registry":            {"protocol", "identity", "outbound"},
	"policies":            {"protocol", "clients"},
	"keys":                {"protocol", "audit", "outbound", "signer", "failpoint"},
	"consent":             {"protocol", "identity", "audit", "failpoint"},
	"preferences":         {"protocol", "identity", "audit"},
	"stats":               {"audit"},
	"web":                 {"protocol"},
	"federation":          {"protocol", "identity"},
	"federation/health":   {"protocol", "outbound", "federation"},
	"federation/oidc":     {"protocol", "identity", "keys", "outbound", "federation"},
	"federation/saml":     {"protocol", "identity", "keys", "outbound", "federation"},
	"citizen":             {"protocol", "identity", "audit", "consent", "login", "preferences", "web"},
	"login":               {"protocol", "identity", "clients", "policies", "consent", "federation", "registry", "preferences", "audit", "web", "failpoint"},
	"provider":            {"protocol", "identity", "clients", "keys", "login", "audit", "web", "failpoint", "notices", "consent"},
	"registration":        {"protocol", "audit", "clients", "outbound"},
	"store/sql":           {"protocol", "identity", "audit", "consent", "login", "provider", "registration", "keys", "failpoint", "notices", "preferences", "stats"},
	"store/storetest":     {"protocol", "identity", "audit", "consent", "login", "provider", "registration", "notices", "preferences"},
	"deploy":              {},
	"sandbox":             {"*"},
	"bench":               {"*"},
	"journeys":            {"*"},
	"conformance":         {"*"},
	"cmd/voussoir":        {"*"},
	"cmd/voussoir/config": {"protocol", "audit", "clients", "policies", "cog", "federation/oidc", "federation/saml"},
}

// homes is where a third-party module may be imported, tests included.
var homes = map[string][]string{
	"github.com/go-jose/go-jose":            {"keys", "federation", "federation/oidc", "provider", "verification", "bench"},
	"modernc.org/sqlite":                    {"store/sql"},
	"database/sql":                          {"store/sql"},
	"github.com/pressly/goose":              {"store/sql"},
	"github.com/redis/go-redis":             {"store/redis"},
	"github.com/zitadel/oidc/v3/pkg/op":     {"provider"},
	"github.com/russellhaering/goxmldsig":   {"federation/saml"},
	"github.com/beevik/etree":               {"federation/saml"},
	"github.com/zitadel/oidc/v3/pkg/client": {"federation/oidc"},
	"github.com/coreos/go-oidc":             {"sandbox", "journeys", "provider", "bench"},
	"go.yaml.in/yaml":                       {"cmd/voussoir/config", "cmd/voussoir", "web"},
	"cel.dev/cel-go":                        {"policies"},
	"github.com/spf13/cobra":                {"cmd/voussoir", "bench"},
	"github.com/prometheus":                 {"metrics"},
	"golang.org/x/mod":                      {"audit", "keys", "store/sql"},
}

// oneFile is stricter than homes: modules that exactly one file may import.
var oneFile = map[string]string{
	"github.com/zitadel/oidc/v3/pkg/op": "provider/oplib.go",
}

// ownWay lists folders with Go files that are no rooms but modules of their own:
// tools, the signer, which needs cgo (docs/decisions/0022-signer.md), and a client of
// other people's for the audit log.
var ownWay = []string{"tools", "cmd/voussoir-signer", "journeys/counterparts/tessera", "journeys/counterparts/witness"}

func TestRooms_ImportMapHolds(t *testing.T) {
	seen, used := map[string]bool{}, map[string]bool{}
	eachGoFile(t, func(path string, imports []string) {
		room := filepath.ToSlash(filepath.Dir(path))
		if room == "." {
			return
		}
		seen[room] = true
		allowed, known := rooms[room]
		if !known {
			t.Errorf("%s: room %s is not on the map (see rooms_test.go and docs/decisions)", path, room)
			return
		}
		test := strings.HasSuffix(path, "_test.go")
		for _, imp := range imports {
			if other, ours := strings.CutPrefix(imp, module); ours {
				used[room+" "+other] = used[room+" "+other] || !test
				if other != room && !test && !slices.Contains(allowed, other) && !slices.Contains(allowed, "*") {
					t.Errorf("%s: room %s may not import %s", path, room, other)
				}
				if strings.HasPrefix(other, "store/") && !test && room != "cmd/voussoir" && room != "bench" && room != "journeys" && room != "store/storetest" {
					t.Errorf("%s: no room imports a store", path)
				}
				continue
			}
			for prefix, where := range homes {
				if (imp == prefix || strings.HasPrefix(imp, prefix+"/")) && !slices.Contains(where, room) {
					t.Errorf("%s: %s belongs in %v", path, imp, where)
				}
			}
			if only, strict := oneFile[imp]; strict && filepath.ToSlash(path) != only {
				t.Errorf("%s: only %s imports %s", path, only, imp)
			}
		}
	})
	for room, allowed := range rooms {
		if !seen[room] {
			t.Errorf("room %s is on the map but has no Go file", room)
		}
		for _, other := range allowed {
			if other != "*" && !used[room+" "+other] {
				t.Errorf("room %s may import %s and does not: take it off the map", room, other)
			}
		}
	}
}

// TestRooms_EachHasOnePackageComment keeps the entrance of a room in one place.
func TestRooms_EachHasOnePackageComment(t *testing.T) {
	comments := map[string][]string{}
	walk(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		room := filepath.ToSlash(filepath.Dir(path))
		comments[room] = append(comments[room], nil...)
		if f.Doc != nil && !strings.HasPrefix(f.Doc.Text(), "go:build") {
			comments[room] = append(comments[room], path)
		}
	})
	for room, files := range comments {
		if len(files) != 1 {
			t.Errorf("room %s has %d package comments %v, want exactly one", room, len(files), files)
		}
	}
}

// TestRooms_NoStrayClocks: the clock is given to a room, so that tests can turn it.
func TestRooms_NoStrayClocks(t *testing.T) {
	walk(t, func(path string) {
		free := strings.HasSuffix(path, "_test.go")
		for _, dir := range []string{"cmd/", "sandbox/", "bench/", "journeys/", "conformance/"} {
			free = free || strings.HasPrefix(filepath.ToSlash(path), dir)
		}
		if free {
			return
		}
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(src), "\n") {
			code, _, _ := strings.Cut(line, "//")
			if strings.Contains(code, "time.Now()") || strings.Contains(code, "time.Since(") || strings.Contains(code, "time.Until(") {
				t.Errorf("%s:%d reads the clock; take Now from the Config", path, i+1)
			}
		}
	})
}

// TestRooms_FilesStayReadable keeps files near the length that one sitting can hold.
func TestRooms_FilesStayReadable(t *testing.T) {
	const limit = 520
	walk(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(src), "\n"); n > limit {
			t.Errorf("%s has %d lines, more than %d: split it by purpose", path, n, limit)
		}
	})
}

// TestRooms_NoJunkRooms: a room is named for what it owns.
func TestRooms_NoJunkRooms(t *testing.T) {
	junk := []string{"util", "utils", "common", "helpers", "shared", "base", "types", "models", "pkg", "internal"}
	walk(t, func(path string) {
		for _, part := range strings.Split(filepath.ToSlash(filepath.Dir(path)), "/") {
			if slices.Contains(junk, part) {
				t.Errorf("%s: no room is called %s", path, part)
			}
		}
	})
}

func eachGoFile(t *testing.T, visit func(path string, imports []string)) {
	t.Helper()
	walk(t, func(path string) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		imports := make([]string, 0, len(f.Imports))
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports = append(imports, imp)
		}
		visit(path, imports)
	})
}

func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata" || slices.Contains(ownWay, path)) {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".go") {
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
