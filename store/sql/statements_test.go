package sql_test

import (
	"context"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"database/sql"

	"modernc.org/sqlite"
)

// TestStatements asks SQLite to plan every statement of the package, found in
// the source itself so that none can be forgotten, in the database whose tables
// it names.
func TestStatements(t *testing.T) {
	dir := t.TempDir()
	openRecords(t, dir)
	must(t, openFlows(t, dir).Close()) // while it is open, flow.db is its own
	dbs := map[string]*sql.DB{"records": rawDB(t, dir, "records"), "flow": rawDB(t, dir, "flow")}
	found := statements(t)
	if len(found) < 25 {
		t.Fatalf("found %d statements; the search must be broken", len(found))
	}
	for name, query := range found {
		t.Run(name, func(t *testing.T) {
			var planned int
			var errs []error
			for _, db := range dbs {
				if err := plan(t.Context(), db, query); err != nil {
					errs = append(errs, err)
					continue
				}
				planned++
			}
			if planned == 0 {
				t.Errorf("no database takes it: %v\n%s", errs, query)
			}
			if strings.Contains(query, "*)") == strings.Contains(query, "count(") {
				return
			}
			t.Errorf("columns must be named: %s", query)
		})
	}
}

// TestStatements_HotPathsUseAnIndex checks that what a visit does never reads a
// whole table.
func TestStatements_HotPathsUseAnIndex(t *testing.T) {
	dir := t.TempDir()
	openRecords(t, dir)
	must(t, openFlows(t, dir).Close()) // while it is open, flow.db is its own
	scan := regexp.MustCompile(`^SCAN `)
	for name, query := range statements(t) {
		if strings.HasPrefix(name, "count") || strings.HasPrefix(query, "INSERT") || slices.Contains([]string{
			"selectKeys", "selectRegistrations", "selectStops", "selectPersonStops", "lastCheckpoint", "selectCheckpoints",
			"selectWithdrawals", // of which there are none nearly always
		}, name) {
			continue // counts and lists are for auditors, and for starting
		}
		for _, db := range []*sql.DB{rawDB(t, dir, "records"), rawDB(t, dir, "flow")} {
			rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, parameters(query)...)
			if err != nil {
				continue // it belongs to the other database
			}
			for rows.Next() {
				var id, parent, unused int
				var detail string
				if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
					t.Fatal(err)
				}
				if scan.MatchString(detail) {
					t.Errorf("%s reads a whole table: %s", name, detail)
				}
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// statements returns the package's SQL by the name of its constant.
func statements(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	verb := regexp.MustCompile(`^(SELECT|INSERT|UPDATE|DELETE|WITH) `)
	out := map[string]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if q := constant.StringVal(constant.MakeFromLiteral(lit.Value, lit.Kind, 0)); verb.MatchString(q) {
						out[spec.Names[0].Name] = q
					}
					return false
				}
			}
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if q := constant.StringVal(constant.MakeFromLiteral(lit.Value, lit.Kind, 0)); verb.MatchString(q) {
					t.Errorf("%s: a statement without a name and a line of purpose: %s", name, q)
				}
			}
			return true
		})
	}
	return out
}

func plan(ctx context.Context, db *sql.DB, query string) error {
	rows, err := db.QueryContext(ctx, "EXPLAIN "+query, parameters(query)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		continue
	}
	return rows.Err()
}

// parameters is a NULL for each parameter.
func parameters(query string) []any {
	n := 0
	for strings.Contains(query, "$"+string(rune('1'+n))) && n < 9 {
		n++
	}
	return make([]any, max(n, strings.Count(query, "$")))
}

// rawDB is a connection of our own to a store's file.
func rawDB(t testing.TB, dir, name string) *sql.DB {
	t.Helper()
	c, err := sqlite.NewConnector("file:" + filepath.Join(dir, name+".db") + "?_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	t.Cleanup(func() { db.Close() })
	return db
}
