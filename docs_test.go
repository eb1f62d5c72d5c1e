package voussoir_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// These tests keep the prose true where a machine can: every file, function,
// test, failpoint and audit entry that a page names must exist, and none may be
// missing from the page that promises to list them all.

const lifeOfALogin = "docs/life-of-a-login.md"

var (
	quoted      = regexp.MustCompile("`([^`\n]+)`")
	goFile      = regexp.MustCompile(`^[a-z][\w/]*\.go$`)
	qualified   = regexp.MustCompile(`^([a-z]+)((?:\.[A-Z]\w*)+)$`)
	testName    = regexp.MustCompile(`^Test[A-Z]\w*$`)
	identifier  = regexp.MustCompile(`^\w+$`)
	dotted      = regexp.MustCompile(`^[a-z]+\.[a-z-]+$`)
	docLink     = regexp.MustCompile(`docs/[\w/-]+\.md`)
	decisionRef = regexp.MustCompile(`^(\d{4})-[\w-]+\.md$`)
)

func TestDocs_WhatTheyNameExists(t *testing.T) {
	src := readSource(t)
	for _, page := range pages(t) {
		for _, word := range quotedIn(readText(t, page)) {
			if goFile.MatchString(word) && strings.Contains(word, "/") && src.files[word] == nil {
				t.Errorf("%s names %s, which is no file", page, word)
			}
			if testName.MatchString(word) && !src.names[word] {
				t.Errorf("%s names %s, which is no test", page, word)
			}
			m := qualified.FindStringSubmatch(word)
			if m == nil || src.rooms[m[1]] == nil {
				continue
			}
			for _, name := range strings.Split(m[2], ".")[1:] {
				if !src.rooms[m[1]][name] {
					t.Errorf("%s names %s, and room %s declares no %s", page, word, m[1], name)
				}
			}
		}
	}
}

// TestDocs_ThePathOfALogin: each function of the table is in a file of its row.
func TestDocs_ThePathOfALogin(t *testing.T) {
	src := readSource(t)
	rows := 0
	for line := range strings.Lines(section(t, lifeOfALogin, "## The path")) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			continue
		}
		files, funcs := quotedIn(cells[3]), quotedIn(cells[4])
		for _, f := range funcs {
			rows++
			name := f[strings.LastIndex(f, ".")+1:]
			if !slices.ContainsFunc(files, func(file string) bool { return src.files[file][name] }) {
				t.Errorf("%s: none of %v declares %s", lifeOfALogin, files, f)
			}
		}
	}
	if rows < 20 {
		t.Errorf("%s: found %d functions in the table: has its form changed?", lifeOfALogin, rows)
	}
}

func TestDocs_EveryFailpointIsACrashWindow(t *testing.T) {
	want := readSource(t).failpoints
	got := map[string]bool{}
	for line := range strings.Lines(section(t, lifeOfALogin, "## Crash windows")) {
		if cells := strings.Split(line, "|"); len(cells) == 6 {
			for _, word := range quotedIn(cells[1]) {
				got[word] = true
			}
		}
	}
	sameNames(t, "failpoints", got, want)
}

func TestDocs_EveryAuditEntryIsListed(t *testing.T) {
	want := readSource(t).kinds
	got := map[string]bool{}
	for line := range strings.Lines(section(t, lifeOfALogin, "## What goes on record")) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			for _, word := range quotedIn(cells[1]) {
				if dotted.MatchString(word) {
					got[word] = true
				}
			}
		}
	}
	sameNames(t, "audit kinds", got, want)
}

func TestDocs_DecisionsAreNumberedAndListed(t *testing.T) {
	index := readText(t, "docs/decisions/README.md")
	entries, err := os.ReadDir("docs/decisions")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.Name() == "README.md" {
			continue
		}
		n++
		m := decisionRef.FindStringSubmatch(e.Name())
		if m == nil || m[1] != fmt.Sprintf("%04d", n) {
			t.Errorf("docs/decisions/%s: want number %04d", e.Name(), n)
			continue
		}
		if !strings.Contains(index, "["+m[1]+"]("+e.Name()+")") {
			t.Errorf("docs/decisions/README.md does not list %s", e.Name())
		}
		title, _, _ := strings.Cut(readText(t, "docs/decisions/"+e.Name()), "\n")
		if !strings.HasPrefix(title, "# "+m[1]+": ") {
			t.Errorf("docs/decisions/%s begins with %q, want # %s: …", e.Name(), title, m[1])
		}
	}
}

// TestDocs_CommentsPointToPagesThatExist: "see docs/…" in the code leads somewhere.
// docs/performance.md is left out: it comes from running the benchmarks.
func TestDocs_CommentsPointToPagesThatExist(t *testing.T) {
	walk(t, func(path string) {
		for _, page := range docLink.FindAllString(readText(t, path), -1) {
			if _, err := os.Stat(page); err != nil && page != "docs/performance.md" {
				t.Errorf("%s points to %s, which is not there", path, page)
			}
		}
	})
}

// TestDocs_NoticeNamesEveryDirectDependency: who adds a module adds its authors.
// What only tests and the schema use is not in the binary.
func TestDocs_NoticeNamesEveryDirectDependency(t *testing.T) {
	notice := readText(t, "NOTICE")
	absent := []string{"invopop/jsonschema", "rogpeppe/go-internal", "go.uber.org/goleak", "pgregory.net/rapid"}
	direct, _, _ := strings.Cut(readText(t, "go.mod"), "\n)")
	for line := range strings.Lines(direct) {
		module, _, ok := strings.Cut(strings.TrimSpace(line), " v")
		if !ok || slices.ContainsFunc(absent, func(a string) bool { return strings.Contains(module, a) }) {
			continue
		}
		name := regexp.MustCompile(`/v\d+$`).ReplaceAllString(module, "")
		name = strings.TrimPrefix(strings.TrimPrefix(name, "golang.org/"), "modernc.org/")
		if !strings.Contains(notice, name) {
			t.Errorf("NOTICE does not name %s", module)
		}
	}
}

// TestDocs_AttackNamesAreExplained: a test that says RU-12 can be understood.
func TestDocs_AttackNamesAreExplained(t *testing.T) {
	legend := readText(t, "docs/attack-names.md")
	name := regexp.MustCompile(`(?:_|\b)([A-Z]{2})[-_]?\d{2}(?:_|\b)`)
	walk(t, func(path string) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, m := range name.FindAllStringSubmatch(readText(t, path), -1) {
			if !strings.Contains(legend, "\n| "+m[1]+" |") {
				t.Errorf("%s: docs/attack-names.md does not say what %s stands for (%s)", path, m[1], m[0])
			}
		}
	})
}

// source is what the code declares, by name.
type source struct {
	files      map[string]map[string]bool // declarations of each file
	rooms      map[string]map[string]bool // likewise of each room at the root, with fields and methods
	names      map[string]bool            // of all, tests included
	failpoints map[string]bool
	kinds      map[string]bool // values of audit.Kind
}

func readSource(t *testing.T) source {
	t.Helper()
	src := source{
		files: map[string]map[string]bool{}, rooms: map[string]map[string]bool{},
		names: map[string]bool{}, failpoints: map[string]bool{}, kinds: map[string]bool{},
	}
	walk(t, func(path string) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.ToSlash(path)
		src.add(path, f)
	})
	return src
}

func (src source) add(path string, f *ast.File) {
	test, room := strings.HasSuffix(path, "_test.go"), filepath.ToSlash(filepath.Dir(path))
	src.files[path] = map[string]bool{}
	if src.rooms[room] == nil && !strings.ContainsAny(room, "./") {
		src.rooms[room] = map[string]bool{}
	}
	declare := func(id *ast.Ident) {
		src.files[path][id.Name], src.names[id.Name] = true, true
		if r := src.rooms[room]; r != nil && !test {
			r[id.Name] = true
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			declare(n.Name)
		case *ast.TypeSpec:
			declare(n.Name)
		case *ast.ValueSpec:
			for _, id := range n.Names {
				declare(id)
			}
			if kind, ok := n.Type.(*ast.Ident); ok && room == "audit" && kind.Name == "Kind" {
				if name, ok := literal(n.Values[0]); ok {
					src.kinds[name] = true
				}
			}
		case *ast.Field:
			for _, id := range n.Names {
				declare(id)
			}
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Here" && !test {
				if name, ok := literal(n.Args[0]); ok { // else a store's: each commit has two
					src.failpoints[name] = true
				}
			}
		}
		return true
	})
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

func pages(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	return out
}

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// section is a page from a heading to the next of its rank.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readText(t, page), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no section %q", page, heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

func quotedIn(text string) []string {
	var out []string
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		if w := strings.TrimSuffix(m[1], "()"); identifier.MatchString(w) || strings.ContainsAny(w, "./") {
			out = append(out, w)
		}
	}
	return out
}

func sameNames(t *testing.T, what string, page, code map[string]bool) {
	t.Helper()
	for name := range maps.Keys(code) {
		if !page[name] {
			t.Errorf("%s: %s %s is in the code and not on the page", lifeOfALogin, what, name)
		}
	}
	for name := range maps.Keys(page) {
		if !code[name] {
			t.Errorf("%s: %s %s is on the page and not in the code", lifeOfALogin, what, name)
		}
	}
}
