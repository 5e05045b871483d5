package config

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/examples"
	"github.com/etch/etchtag/schedule"
	"github.com/etch/etchtag/tagging/inventory/parse"
	"github.com/google/go-cmp/cmp"
)

// onlyDecisive is a configuration with the defaults for all that decides nothing.
func onlyDecisive(c Config) Config {
	d := Default()
	d.WorkingCopy.Path, d.Tags.Every, d.Tagstate = c.WorkingCopy.Path, c.Tags.Every, c.Tagstate
	d.Inventory, d.CacheDir, d.Rings = c.Inventory, c.CacheDir, c.Rings
	return d
}

func TestMistakesElsewhereDecideNothing(t *testing.T) {
	t.Parallel()
	everyTwoHours := func(c *Config) { c.Tags.Every = 2 * time.Hour }
	for name, test := range map[string]struct {
		text string
		want func(*Config) // changes the defaults
	}{
		"nothing":               {"", func(*Config) {}},
		"a wrong value":         {"server_user: a b\ntags: {every: 2h, files: soft}\n", everyTwoHours},
		"in the same block":     {"tags:\n  files: soft\n  every: 2h\n  keep: [7]\n", everyTwoHours},
		"a newer key":           {"hooks: [{command: [x]}]\ntags: {every: 2h, builtin_check: true}\n", everyTwoHours},
		"a newer block":         {"tags:\n  every: 2h\nwebserver:\n  - port: 80\n    tls: {x: y}\n", everyTwoHours},
		"a wrong time":          {"schedule: {update: never}\ntags: {every: 2h}\n", everyTwoHours},
		"a quote left open":     {"schedule:\n  update: \"*/5 * * * *\n  snapshot: \"0 * * * *\"\ntags:\n  every: 2h\n", everyTwoHours},
		"a bracket left open":   {"tags:\n  every: 2h\nserver_user: [\n", everyTwoHours},
		"no column":             {"server_user nobody\ntags: {every: 2h}\n", nil},
		"an upstream":           {"working_copy:\n  kind: arch\n  path: wc\n  module: m\n", func(c *Config) { c.WorkingCopy.Path = "wc" }},
		"two users":             {"server_user: a\nserver_user: b\ntags: {every: 2h}\n", everyTwoHours},
		"of a ring":             {"rings: [{name: all, delay: 1h, windows: 3}]\n", nil},
		"no rings":              {"rings: []\n", nil},
		"misspelt":              {"ring: [{name: all, delay: 1h}]\n", nil},
		"misspelt below":        {"tags: {evry: 2h}\n", nil},
		"the same key twice":    {"tags: {every: 2h}\ntags: {files: auto}\n", nil},
		"twice below":           {"tags:\n  every: 2h\n  every: 2h\n", nil},
		"of another type":       {"tags: 2h\n", nil},
		"a merge key":           {"<<: {server_user: x}\n", nil},
		"a merge key below":     {"tags: {<<: {files: auto}}\n", nil},
		"a merge key elsewhere": {"working_copy: {auth: {<<: {username: x}}}\ntags: {every: 2h}\n", everyTwoHours},
		"an inventory":          {"inventory: [{kind: etc}]\n", nil},
		"no file of marks":      {"tagstate: []\n", nil},
		"a second document":     {"tags: {every: 2h}\n---\n", nil},
		"not YAML":              {"tags: {every: 2h\n", nil},
		"not YAML, in a block":  {"tags:\n  every: [2h\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := writeConfig(t, test.text)
			got, err := LoadDecisive(path, true)
			if test.want == nil {
				if err == nil {
					t.Errorf("accepted: %+v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := Default()
			test.want(&want)
			if diff := cmp.Diff(want, onlyDecisive(*got)); diff != "" {
				t.Errorf("wanted (-), got (+):\n%s", diff)
			}
		})
	}
}

// What is wrong with the rest is not said either, and lines are counted in the whole file.
func TestOnlyDecisiveMistakesAreNamed(t *testing.T) {
	t.Parallel()
	c := Default()
	err := c.parseDecisive("F", []byte("# mine\nserver_user: a b\n\ntags:\n  files: soft\n  every: 50m\n"))
	if got, want := errorText(err), "F:6: tags.every: "; !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
		t.Errorf("%q, not %q", got, want)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// If this fails, nodetagger starts more slowly with nearly every configuration.
func TestOfOurConfigurationLittleIsRead(t *testing.T) {
	t.Parallel()
	c := Default()
	short, sure := c.excerpt(string(examples.Config))
	root, ok := parse.Plain(short)
	if !ok || !resolve(root) {
		t.Errorf("the quick reader cannot read:\n%s", short)
	}
	if lines := strings.Count(short, "\n"); !sure || lines > 25 || strings.Contains(short, "#") || strings.Contains(short, "url") {
		t.Errorf("sure: %t, %d lines:\n%s", sure, lines, short)
	}
	withComment := strings.Replace(string(examples.Config), "delay: 4h", "delay: 4h # \"at last\"", 1)
	if _, sure := c.excerpt(withComment); !sure {
		t.Error("a comment at the end of a line is too much for it")
	}
}

// oddTexts are what somebody who does not know YAML takes for something else.
var oddTexts = []string{
	"tags:\n  check: [a\"b, \"c\n  every: 2h\n  \"]\n",
	"tags:\n  check: [\"a\n  every: 2h\n  # \"]\n",
	"tags:\n  check:\n  - |\n   a\n   every: 2h\n  every: 4h\n",
	"tags:\n  check: [a,\n  every: 2h]\n",
	"working_copy:\n  auth: {username: a,\n  path: b}\n",
	"working_copy:\n  auth:\n    username: \"a\n  path: b\n  # \"\n",
	"working_copy:\n  branch: !!str \"a\n  path: b\n  # \"\n",
	"working_copy:\n    path: b\n  kind: git\n",
	"working_copy: # where\n  path: b\n",
	"working_copy:\n# where\n  path: b # \"\n  url: '#'\n",
	"rings:\n- {name: \"a\n  # b\", delay: 0h}\n",
	"rings:\n- name: a\n  delay: 0h\n  # c\n   b\n",
	"rings:\n- name: a\n  b\n  delay: 0h\n",
	"rings:\n- name: >\n   # b\n  delay: 0h\n",
	"rings: [\n{name: a, delay: 0h}\n]\n",
	"rings: {\ntags: {every: 2h}}\n",
	"schedule: {update: \"0 * * * *\",\nsnapshot: \"0 * * * *\"}\n",
	"schedule: {\nupdate: \"0 * * * *\",\n}\n",
	"\"tags\": {every: 2h}\n",
	"? tags\n: {every: 2h}\n",
	"  tags: {every: 2h}\n  server_user: a\n",
	"tags: {every: 2h}\r\nserver_user: a\r\n",
	"server_user: a\rtags: {every: 2h}\n",
	"server_user: a\u2028tags: {every: 2h}\n",
	"# a\u0085tags: {every: 2h}\n",
	"\ufefftags: {every: 2h}\n",
	"--- \ntags: {every: 2h}\n...\n",
	"tags:\n every: 2h\n...\nrings: []\n",
	"tags:\n\tevery: 2h\n",
	"tags:\n  every:\n    2h\n",
	"tags:\n  every: 2h\n   # deeper\n  keep:\n    last: 7\n",
	"tagstate:\n- a\n-\n  b\n",
	"tagstate: [a, 'b''c', \"d\\x20e\"]\n",
	"inventory:\n  - kind: file\n    path: \"a # b\"\n",
	"cache_dir: /a#b\n",
	"rings:\n  - name: a\n    delay: 10\n",
	"rings:\n  - name: 10\n    delay: 10h\n",
	"rings:\n  - name: \"10\"\n    delay: 1h30m\n    groups: [010, true, a]\n  - {name: yes, delay: 010h, percent: 12}\n",
	"rings:\n  - name: a\n    delay: 0h\n    percent: 10\n    groups: [a, 'b c']\n  -\n    name: b\n    delay: 1h\n",
	"rings:\n  - name: a\n   delay: 0h\n",
	"rings:\n  - - name: a\n",
	"tags: {every: 2H}\ntagstate: [1h, hms, null, Null, \"\"]\n",
}

// FuzzDecisive compares the short way with the long one. Where nothing but decisive values is wrong, they agree.
func FuzzDecisive(f *testing.F) {
	f.Add(string(examples.Config))
	f.Add(string(bytes.ReplaceAll(examples.Config, []byte("  # - "), []byte("  - "))))
	for _, text := range oddTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		whole, short := Default(), Default()
		p := whole.parse("F", []byte(text), schedule.ParseSpec)
		if slices.ContainsFunc(p.found, func(f problem) bool { return !isDecisive(f.about) || f.about == "" }) {
			return
		}
		want, got := p.err(), short.parseDecisive("F", []byte(text))
		if errorText(got) != errorText(want) {
			t.Fatalf("%q: %v, not %v", text, got, want)
		}
		if want != nil {
			return
		}
		if diff := cmp.Diff(onlyDecisive(whole), onlyDecisive(short)); diff != "" {
			t.Errorf("%q: the whole (-) and what was read of it (+):\n%s", text, diff)
		}
	})
}

func BenchmarkLoadDecisive(b *testing.B) {
	c := Default()
	b.ReportAllocs()
	for b.Loop() {
		if err := c.parseDecisive("F", examples.Config); err != nil {
			b.Fatal(err)
		}
	}
}
