package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/deploy"
)

// release is set by the linker (-X main.release=…).
var release = "development"

func (p *program) check() *cobra.Command {
	c := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Explain every mistake in a configuration",
		Long: "check reads a configuration as serve does and starts nothing. Each mistake is shown with file, line and\n" +
			"column, what is wrong, and what to write instead. Exit code 0: serve would start with it (there may be\n" +
			"warnings); 1: the file cannot be read; 2: it has mistakes.",
		Args: cobra.NoArgs,
	}
	file := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print the result as JSON")
	c.RunE = func(*cobra.Command, []string) error {
		loaded, err := p.load(*file)
		var mistakes config.Problems
		if err != nil && !errors.As(err, &mistakes) {
			return err
		}
		if err == nil {
			if _, err := newSnapshot(loaded, outside{Now: p.now}); err != nil {
				return err
			}
			mistakes = loaded.Warnings
		}
		if *asJSON {
			return p.checkedJSON(*file, loaded != nil, mistakes)
		}
		return p.checked(*file, loaded, mistakes)
	}
	return c
}

func (p *program) checked(file string, loaded *config.Loaded, found config.Problems) error {
	for _, f := range found {
		fmt.Fprintln(p.out, f)
	}
	if loaded == nil {
		n := 0
		for _, f := range found {
			if !f.Warning {
				n++
			}
		}
		fmt.Fprintf(p.out, "%s: %s\n", file, count(n, "mistake"))
		return alreadySaid(exitUsage)
	}
	fmt.Fprintf(p.out, "%s: good: %s, %s, %s\n", file, count(len(loaded.Providers)+len(loaded.SAML), "provider"),
		count(len(loaded.Clients.Services()), "client"), count(loaded.PolicyCount, "policy"))
	for _, t := range loaded.Initial {
		fmt.Fprintf(p.out, "%s: services register with the token %s (%d at most)\n", file, t.ID, t.Max)
	}
	return nil
}

func (p *program) checkedJSON(file string, good bool, found config.Problems) error {
	if found == nil {
		found = config.Problems{}
	}
	err := p.printJSON(struct {
		File     string          `json:"file"`
		Good     bool            `json:"good"`
		Problems config.Problems `json:"problems"`
	}{file, good, found})
	if err == nil && !good {
		return alreadySaid(exitUsage)
	}
	return err
}

func (p *program) version() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs}
	asJSON := c.Flags().Bool("json", false, "print it as JSON")
	c.RunE = func(*cobra.Command, []string) error {
		v := struct {
			Version  string `json:"version"`
			Revision string `json:"revision,omitempty"`
			Go       string `json:"go"`
			Platform string `json:"platform"`
		}{release, revision(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
		if *asJSON {
			return p.printJSON(v)
		}
		_, err := fmt.Fprintf(p.out, "voussoir %s (%s, %s)\n", v.Version, v.Go, v.Platform)
		return err
	}
	return c
}

// revision is the commit that this binary was built from, if the build knew it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// schema prints the JSON Schema of the configuration, for editors.
func (p *program) schema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the configuration file", Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := p.out.Write(deploy.Schema)
			return err
		},
	}
}

func (p *program) printJSON(v any) error {
	e := json.NewEncoder(p.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func count(n int, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case thing == "policy":
		return fmt.Sprintf("%d policies", n)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
