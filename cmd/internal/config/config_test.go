package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/etch/etchtag/examples"
	"github.com/etch/etchtag/schedule"
	"github.com/etch/etchtag/tagging"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// parseConfig reads text as the file "F".
func parseConfig(text string) (Config, error) {
	c := Default()
	err := c.Parse("F", []byte(text), schedule.ParseSpec)
	return c, err
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "etchtag.yml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWithoutFileTheDocumentedDefaultsHold(t *testing.T) {
	documented := `
working_copy: {path: trunk, kind: auto, url: "", branch: "", timeout: 5m}
tags: {every: 1h, files: auto, check: [], keep: {within: 72h, last: 72}}
tagstate: [trunk/tagstate, tagstate]
schedule: {update: "*/5 * * * *", snapshot: "0 * * * *"}
server_user: nobody
inventory: [{kind: etch}]
cache_dir: /var/cache/etchtag
rings:
  - {name: dev, delay: 0h, groups: [dev, int]}
  - {name: qa, delay: 1h, groups: [qa]}
  - {name: staging, delay: 2h, groups: [stg, staging]}
  # - {name: production-early, delay: 3h, groups: [dc1]}
  - {name: production, delay: 4h}
`
	var want Config
	if err := want.Parse("F", []byte(documented), schedule.ParseSpec); err != nil {
		t.Fatal(err)
	}
	got, err := Load(filepath.Join(t.TempDir(), "etchtag.yml"), false, schedule.ParseSpec)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Errorf("documented (-) and actual (+) defaults differ:\n%s", diff)
	}
	if err := got.Rings.Validate(); err != nil {
		t.Errorf("the default rings are not valid: %v", err)
	}
}

func TestFilesWithoutContentAreTheDefaults(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "{}\n", "~\n", "\ufeff", "\ufeff# nothing\r\n",
		"tags:\n  # every: 2h\n", "working_copy:\n  auth:\ntags: {keep: }\n"} {
		got, err := parseConfig(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(Default(), got); diff != "" {
			t.Errorf("%q changes the defaults:\n%s", text, diff)
		}
	}
}

func TestSettings(t *testing.T) {
	tests := []struct {
		name, text string
		change     func(*Config)
	}{
		{"a mapping merges by key", "working_copy: {branch: stable, auth: {username: ci}}\ntags: {keep: {last: 0}}",
			func(c *Config) {
				c.WorkingCopy.Branch, c.WorkingCopy.Auth.Username, c.Tags.Keep.Last = "stable", "ci", 0
			}},
		{"a list replaces the default", "tagstate: [marks]\ninventory: []",
			func(c *Config) { c.Tagstate, c.Inventory = []string{"marks"}, nil }},
		{"CRLF and a byte-order mark", "\ufeffserver_user: www-data\r\ntags:\r\n  every: 2h\r\n",
			func(c *Config) { c.ServerUser, c.Tags.Every = "www-data", 2*time.Hour }},
		{"durations", "working_copy: {timeout: 1h30m}\ntags: {every: 15m, keep: {within: '100h'}}",
			func(c *Config) {
				c.WorkingCopy.Timeout, c.Tags.Every = 90*time.Minute, 15*time.Minute
				c.Tags.Keep.Within = 100 * time.Hour
			}},
		{"paths are cleaned", "working_copy: {path: ./wc/etch/}\ntagstate: [./wc//tagstate]",
			func(c *Config) { c.WorkingCopy.Path, c.Tagstate = "wc/etch", []string{"wc/tagstate"} }},
		{"a check", `tags: {check: [./check, "--level", "3"], files: hardlink}`,
			func(c *Config) { c.Tags.Check, c.Tags.Files = []string{"./check", "--level", "3"}, "hardlink" }},
		{"credentials", "working_copy:\n  kind: git\n  auth:\n    ssh_key: keys/id\n    known_hosts: /etc/kh\n" +
			"    token_file: /etc/token\n    ca_file: ca.pem\n",
			func(c *Config) {
				c.WorkingCopy.Kind = "git"
				c.WorkingCopy.Auth = Auth{SSHKey: "keys/id", KnownHosts: "/etc/kh", TokenFile: "/etc/token", CAFile: "ca.pem"}
			}},
		{"inventories", "inventory:\n- {kind: file, path: hosts.yml}\n- {kind: etch, from: trunk}\n- kind: file\n  path: /srv/h.yml",
			func(c *Config) {
				c.Inventory = []Inventory{{Kind: "file", Path: "hosts.yml"}, {Kind: "etch", From: "trunk"},
					{Kind: "file", Path: "/srv/h.yml"}}
			}},
		{"inventories that are asked", "inventory:\n- {kind: nodegrouper, stale: 24h}\n" +
			"- {kind: nventory, server: https://nv.example.com/, timeout: 2s}\n- {kind: command, command: [bin/groups, -x]}",
			func(c *Config) {
				c.Inventory = []Inventory{
					{Kind: "nodegrouper", From: "settled", Stale: 24 * time.Hour},
					{Kind: "nventory", Server: "https://nv.example.com/", Timeout: 2 * time.Second},
					{Kind: "command", Command: []string{"bin/groups", "-x"}}}
			}},
		{"Subversion", "working_copy: {url: 'svn+ssh://h/etch/trunk'}\ncache_dir: /srv/cache",
			func(c *Config) { c.WorkingCopy.URL, c.CacheDir = "svn+ssh://h/etch/trunk", "/srv/cache" }},
		{"CVS", "working_copy: {url: ':ext:joe@h:/srv/cvs', module: etch, branch: stable}",
			func(c *Config) {
				c.WorkingCopy.URL, c.WorkingCopy.Module, c.WorkingCopy.Branch = ":ext:joe@h:/srv/cvs", "etch", "stable"
			}},
		{"a schedule", "schedule: {update: '1-59/2 * * * *'}", func(c *Config) { c.Schedule.Update = "1-59/2 * * * *" }},
		{"rings", "rings:\n- {name: canary, delay: 0, hosts: ['web*'], percent: 2.5}\n- {name: rest, delay: 1h, require: good}",
			func(c *Config) {
				c.Rings = tagging.Rings{
					{Name: "canary", Hosts: []string{"web*"}, Percent: 2.5, HasPercent: true},
					{Name: "rest", Delay: time.Hour, RequireGood: true},
				}
			}},
		{"a date may be a name", "working_copy: {branch: 2026-11-22}", func(c *Config) { c.WorkingCopy.Branch = "2026-11-22" }},
		{"tags that say what is so anyway", "!!map\nserver_user: !!str 65534\ntags: {keep: {last: !!int 5}}",
			func(c *Config) { c.ServerUser, c.Tags.Keep.Last = "65534", 5 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseConfig(test.text)
			if err != nil {
				t.Fatal(err)
			}
			want := Default()
			test.change(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("wanted (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestUpstreamURLs(t *testing.T) {
	for _, url := range []string{"https://git.example.com/etch.git", "http://h:8080/x?y", "ssh://git@h:22/~/x", "git://h/x",
		"git@h:x.git", "h:x", "[::1]:x", "ssh://[::1]/x", "git+ssh://h/x", "file:///srv/50%.git", "/srv/etch.git", "../etch",
		"https://user:pa%40ss@h/x", "/srv/with blank/ünïcode"} {
		c, err := parseConfig("working_copy: {url: " + quoteYAML(url) + "}")
		if err != nil {
			t.Errorf("%s is refused: %v", url, err)
		}
		if c.WorkingCopy.URL != url {
			t.Errorf("%s is read as %s", url, c.WorkingCopy.URL)
		}
	}
}

func TestEveryMistakeIsReportedWithLineAndKey(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"not a mapping", "\n- a", "F:2: must be a mapping, not a list"},
		{"not even YAML", "a: 1\nb: [1\nc: 2\n", "F:2: this is not YAML: did not find expected ',' or ']'"},
		{"wrong indentation", "tags:\n  every: 1h\n files: auto\n",
			"F:3: this is not YAML: did not find expected key"},
		{"a tab", "tags:\n\tevery: 1h\n", "F:2: this is not YAML: found character that cannot start any token"},
		{"broken in the first line", "a: b: c",
			"F:1: this is not YAML: mapping values are not allowed in this context"},
		{"an unknown anchor", "tags: *a", "F:1: this is not YAML: unknown anchor 'a' referenced"},
		{"Latin-1", "# ok\nserver_user: n\xf6body", "F:2: the byte 0xf6 is not UTF-8"},
		{"UTF-16", "\xff\xfet\x00", "F:1: the byte 0xff is not UTF-8"},
		{"a control character", "\n\nserver_user: \x01", "F:3: the control character 0x01 is not allowed"},
		{"two documents", "tags: {}\n---\ntags: {}\n",
			"F:2: a second document starts here: a configuration is a single one"},
		{"a broken second document", "tags: {}\n---\n{",
			"F:4: this is not YAML: did not find expected node content"},

		{"a typing error", "tags:\n  evry: 1h", `F:2: tags.evry: unknown key, did you mean "every"?`},
		{"an unknown key", "tags: {keep: {for: 3}}",
			"F:1: tags.keep.for: unknown key, the keys here are within, last"},
		{"a key that is no word", "? [a, b]\n: c", "F:1: a key must be a word, not a list"},
		{"an odd key", "\"a\\nb\": 1\n",
			`F:1: "a\nb": unknown key, the keys here are working_copy, tags, tagstate, schedule, server_user, inventory, cache_dir, rings`},
		{"a password in the clear", "working_copy:\n  auth:\n    password: x",
			"F:3: working_copy.auth.password: unknown key, the keys here are ssh_key, known_hosts, username, password_file, token_file, ca_file"},
		{"a repeated key", "tags:\n  every: 1h\n  every: 1h\n",
			"F:3: tags.every: is given twice, first in line 2"},
		{"a repeated mapping", "tags: {every: 1h}\n\ntags: {files: auto}\n",
			"F:3: tags: is given twice, first in line 1"},
		{"an alias", "tagstate: &a [x]\nrings: *a", "F:2: rings: an alias is not supported: write the value out"},
		{"a merge key", "tags:\n  <<: {every: 2h}",
			"F:2: tags.<<: a merge key is not supported: write the keys out"},
		{"binary data", "server_user: !!binary bm9ib2R5",
			`F:1: server_user: must be text: write "bm9ib2R5" in quotes`},
		{"a foreign type", "tags: !site {every: 1h}",
			"F:1: tags: must be a mapping, not a mapping of the type !site"},

		{"a number for text", "working_copy: {branch: 1.10}",
			`F:1: working_copy.branch: must be text: write "1.10" in quotes`},
		{"a truth for text", "server_user: true", `F:1: server_user: must be text: write "true" in quotes`},
		{"a list for text", "server_user: [nobody]", "F:1: server_user: must be text, not a list"},
		{"text for a list", "tags: {check: ./check --all}", "F:1: tags.check: must be a list, not text"},
		{"text for a mapping", "tags: 1h", "F:1: tags: must be a mapping, not text"},
		{"a mapping for a list", "rings: {dev: 0h}", "F:1: rings: must be a list, not a mapping"},
		{"no text", "server_user:\n", "F:1: server_user: has no value: without the key, its default holds"},
		{"no list", "tags: {}\nrings:\n", "F:2: rings: has no value: without the key, its default holds"},
		{"an item that is no text", "tags:\n  check:\n    - a\n    - 3",
			`F:4: tags.check[1]: must be text: write "3" in quotes`},

		{"no unit", "working_copy: {timeout: 5}",
			`F:1: working_copy.timeout: 5 has no unit: write a duration such as "90s", "5m" or "1h30m"`},
		{"no unit, quoted", "tags: {every: '1.5'}",
			`F:1: tags.every: 1.5 has no unit: write a duration such as "90s", "5m" or "1h30m"`},
		{"days", "tags: {keep: {within: 3d}}",
			`F:1: tags.keep.within: "3d" is not a duration such as "90s", "5m" or "1h30m"`},
		{"a list for a duration", "tags: {every: []}",
			`F:1: tags.every: must be a duration such as "90s", "5m" or "1h30m", not a list`},
		{"no time at all", "working_copy: {timeout: 0}",
			"F:1: working_copy.timeout: must be longer than 0, not 0s"},
		{"keep nothing", "tags: {keep: {within: -1h}}",
			"F:1: tags.keep.within: must be longer than 0, not -1h0m0s"},
		{"a negative number", "tags: {keep: {last: -1}}",
			"F:1: tags.keep.last: must be a whole number, 0 or more, not -1"},
		{"an octal number", "tags: {keep: {last: 072}}",
			"F:1: tags.keep.last: must be a whole number, 0 or more, not 072"},
		{"a fraction", "tags: {keep: {last: 1.5}}",
			`F:1: tags.keep.last: must be a whole number, 0 or more, not "1.5"`},
		{"a huge number", "tags: {keep: {last: 99999999999999999999}}",
			`F:1: tags.keep.last: must be a whole number, 0 or more, not "99999999999999999999"`},

		{"a tree outside", "working_copy: {path: ../trunk}",
			`F:1: working_copy.path: "../trunk" leads out of the base`},
		{"a tree elsewhere", "working_copy: {path: /srv/etch}",
			`F:1: working_copy.path: "/srv/etch" must be relative to the base`},
		{"the base as tree", "working_copy: {path: ./}", "F:1: working_copy.path: must not be the base itself"},
		{"no tree", "working_copy: {path: ''}", "F:1: working_copy.path: must not be empty"},
		{"the tree among the tags", "working_copy: {path: x/../tags/wc}",
			`F:1: working_copy.path: "x/../tags/wc" must not be in the directory of the tags`},
		{"a NUL", `working_copy: {path: "a\0b"}`,
			`F:1: working_copy.path: must not hold control characters such as "\x00"`},
		{"an unknown kind", "working_copy: {kind: hg}",
			`F:1: working_copy.kind: must be auto, git, svn, cvs or dir, not "hg"`},
		{"an unknown scheme", "working_copy: {url: 'bzr://h/x'}",
			`F:1: working_copy.url: the scheme "bzr" is none of https, http, ssh, git, svn, svn+ssh and file`},
		{"a path for Subversion", "working_copy: {kind: svn, url: /srv/svn/etch}",
			"F:1: working_copy.url: is no URL of Subversion: a path is written as file:///PATH"},
		{"a branch of Subversion", "working_copy: {url: 'svn://h/x', branch: b}",
			"F:1: working_copy.branch: is not for svn: there the URL ends in the branch, as in .../etch/trunk"},
		{"an upstream of a plain tree", "working_copy:\n  kind: dir\n  url: https://h/x",
			"F:3: working_copy.url: is not for dir: the tool that maintains the tree knows where it comes from"},
		{"a root of CVS alone", "working_copy: {url: ':pserver:joe@h:/srv/cvs'}",
			"F:1: working_copy.module: is missing: it says what of the repository to check out"},
		{"a module of git", "working_copy: {kind: git, module: etch}", "F:1: working_copy.module: is for cvs only"},
		{"a module that is an option", "working_copy: {kind: cvs, module: -d}",
			`F:1: working_copy.module: "-d" is not the name of a module`},
		{"a token for Subversion", "working_copy: {kind: svn, auth: {token_file: t}}",
			"F:1: working_copy.auth: has a token_file, which is for git only"},
		{"no host", "working_copy: {url: 'https:///x'}", "F:1: working_copy.url: names no host"},
		{"a line end in a URL", `working_copy: {url: "https://h/x\n"}`,
			`F:1: working_copy.url: must not hold control characters such as "\n"`},
		{"a blank after a URL", "working_copy: {url: 'https://h/x '}",
			"F:1: working_copy.url: must not begin or end with blanks"},
		{"an impossible branch", "working_copy: {branch: a..b}",
			`F:1: working_copy.branch: "a..b" is not the name of a branch`},
		{"a home directory", "working_copy: {auth: {ssh_key: ~/.ssh/id}}",
			`F:1: working_copy.auth.ssh_key: the ~ of "~/.ssh/id" has no meaning here: write the whole path`},
		{"a secret outside", "working_copy: {auth: {ca_file: ../ca}}",
			`F:1: working_copy.auth.ca_file: "../ca" leads out of the base`},
		{"two secrets", "working_copy:\n  auth:\n    password_file: a\n    token_file: b",
			"F:2: working_copy.auth: has both password_file and token_file: a server gets one or the other"},

		{"an unknown file mode", "tags: {files: reflink}",
			`F:1: tags.files: must be auto or hardlink, not "reflink"`},
		{"a check without a command", "tags: {check: ['', x]}",
			"F:1: tags.check: names no command: its first word is empty"},
		{"no tagstate", "tagstate: []", "F:1: tagstate: names no file: there would be none to mark a tag bad in"},
		{"a tagstate outside", "tagstate:\n- tagstate\n- /etc/tagstate",
			`F:3: tagstate[1]: "/etc/tagstate" must be relative to the base`},
		{"a tagstate above", "tagstate: [a/../../x]", `F:1: tagstate[0]: "a/../../x" leads out of the base`},
		{"the same tagstate", "tagstate: [a, ./a]", `F:1: tagstate: names "a" twice`},
		{"no user", "server_user: ''", `F:1: server_user: "" is not the name of a user`},
		{"two users", "server_user: nobody:nogroup",
			`F:1: server_user: "nobody:nogroup" is not the name of a user`},

		{"a word for an inventory", "inventory: [etch]", "F:1: inventory[0]: must be a mapping, not text"},
		{"an inventory of no kind", "inventory:\n- {}", "F:2: inventory[0].kind: is missing"},
		{"an empty inventory", "inventory:\n- kind: etch\n-\n", "F:3: inventory[1].kind: is missing"},
		{"an unknown inventory", "inventory: [{kind: ldap}]",
			`F:1: inventory[0].kind: must be command, etch, file, nodegrouper or nventory, not "ldap"`},
		{"a file inventory without a file", "inventory: [{kind: file}]", "F:1: inventory[0].path: is missing"},
		{"an etch inventory with a file", "inventory:\n- kind: etch\n  path: x",
			"F:3: inventory[0].path: is not for inventories of kind etch, but for file"},
		{"a file inventory of a tag", "inventory: [{kind: file, path: x, from: trunk}]",
			"F:1: inventory[0].from: is not for inventories of kind file, but for etch and nodegrouper"},
		{"a command inventory without a command", "inventory: [{kind: command}]", "F:1: inventory[0].command: is missing"},
		{"an empty command", "inventory: [{kind: command, command: []}]",
			"F:1: inventory[0].command: names no command"},
		{"a server that is none", "inventory: [{kind: nventory, server: nventory}]",
			"F:1: inventory[0].server: is not the URL of a server, such as http://nventory.example.com/"},
		{"no time at all", "inventory: [{kind: nventory, timeout: 0s}]",
			"F:1: inventory[0].timeout: must be longer than 0, not 0s"},
		{"a relative cache", "cache_dir: cache", `F:1: cache_dir: "cache" must begin with a slash`},
		{"from nowhere", "inventory: [{kind: etch, from: head}]",
			`F:1: inventory[0].from: must be settled or trunk, not "head"`},

		{"a ring without a name", "rings: [{delay: 0h}]", "F:1: rings[0].name: is missing"},
		{"a ring without a delay", "rings:\n- {name: a, delay: 0, groups: [a]}\n- name: b\n",
			"F:3: rings[1].delay: is missing"},
		{"a negative delay", "rings: [{name: a, delay: -1h}]",
			"F:1: rings[0].delay: must not be negative, as -1h0m0s is"},
		{"more than all", "rings: [{name: a, delay: 1h, percent: 100.5, groups: [a]}]",
			"F:1: rings[0].percent: must be a number from 0 to 100, not 100.5"},
		{"less than none", "rings: [{name: a, delay: 1h, percent: -1, groups: [a]}]",
			"F:1: rings[0].percent: must be a number from 0 to 100, not -1"},
		{"not a number", "rings: [{name: a, delay: 1h, percent: .nan, groups: [a]}]",
			"F:1: rings[0].percent: must be a number from 0 to 100, not .nan"},
		{"half of them", "rings: [{name: a, delay: 1h, percent: 50%, groups: [a]}]",
			"F:1: rings[0].percent: must be a number from 0 to 100, not text"},
		{"a requirement", "rings: [{name: a, delay: 1h, require: best}]",
			`F:1: rings[0].require: must be good, not "best"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseConfig(test.text)
			if got := fmt.Sprint(err); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestMistakesThatOthersFindHaveLineAndKey(t *testing.T) {
	tests := []struct{ name, text, where string }{
		{"a cadence", "\ntags:\n  every: 7m", "F:3: tags.every: "},
		{"an update", "schedule: {update: '* * *'}", "F:1: schedule.update: "},
		{"a snapshot", "schedule:\n  snapshot: 61 * * * *", "F:2: schedule.snapshot: "},
		{"no ring", "rings: []", "F:1: rings: "},
		{"a ring without hosts", "rings:\n- {name: a, delay: 0}\n- {name: b, delay: 1h}",
			"F:2: rings[0].groups: "},
		{"a share of nothing", "rings:\n- {name: a, delay: 0,\n   percent: 5}\n- {name: b, delay: 1h}",
			"F:3: rings[0].percent: "},
		{"a choosy last ring", "rings:\n- name: a\n  delay: 0\n  hosts: [x]", "F:4: rings[0].hosts: "},
		{"a bad pattern", "rings:\n- {name: a, delay: 0, hosts: ['[']}\n- {name: b, delay: 1h}",
			"F:2: rings[0].hosts: "},
		{"twins", "rings:\n- {name: a, delay: 0, groups: [x]}\n- delay: 1h\n  name: a", "F:4: rings[1].name: "},
		{"no name", "rings:\n- {name: '', delay: 0}", "F:2: rings[0].name: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseConfig(test.text)
			if got := fmt.Sprint(err); !strings.HasPrefix(got, test.where) || strings.Contains(got, "\n") {
				t.Errorf("got\n%s\nwant one line that begins with %s", got, test.where)
			}
		})
	}
}

func TestAllMistakesAreReportedInTheOrderOfTheFile(t *testing.T) {
	_, err := parseConfig(`inventory:
  - kind: file
    from: trunk
working_copy:
  timeout: 5
  kind: hg
tag: {}
tags:
  keep: {last: many}
rings:
  - delay: 1
    hosts: ['[']
  - name: a
    delay: 1h
    hosts: [b]
`)
	want := `F:2: inventory[0].path: is missing
F:3: inventory[0].from: is not for inventories of kind file, but for etch and nodegrouper
F:5: working_copy.timeout: 5 has no unit: write a duration such as "90s", "5m" or "1h30m"
F:6: working_copy.kind: must be auto, git, svn, cvs or dir, not "hg"
F:7: tag: unknown key, did you mean "tags"?
F:9: tags.keep.last: must be a whole number, 0 or more, not text
F:11: rings[0].delay: 1 has no unit: write a duration such as "90s", "5m" or "1h30m"
F:11: rings[0].name: is missing
F:15: rings[1].hosts: cannot be: the last ring takes every host that is left`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("wanted (-), got (+):\n%s", diff)
	}
}

func TestFilesThatCannotBeReadAreNamed(t *testing.T) {
	dir := t.TempDir()
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	forbidden := writeConfig(t, "")
	if err := os.Chmod(forbidden, 0); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		required   bool
		rootCan    bool
	}{
		{"absent, but required", filepath.Join(dir, "absent"), true, false},
		{"a directory", dir, false, false},
		{"a link to nowhere", dangling, false, false},
		{"below a file", filepath.Join(forbidden, "x"), false, false},
		{"forbidden", forbidden, false, true},
		{"too large", writeConfig(t, strings.Repeat("#\n", maxSize/2+1)), false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.rootCan && os.Geteuid() == 0 {
				t.Skip("root may read everything")
			}
			c, err := Load(test.path, test.required, schedule.ParseSpec)
			if err == nil {
				t.Fatalf("no error, but %+v", c)
			}
			var pathError *fs.PathError
			if !errors.As(err, &pathError) || pathError.Path != test.path {
				t.Errorf("the error does not name %s: %v", test.path, err)
			}
		})
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	path := writeConfig(t, "tags:\n  every: 5\n")
	_, err := Load(path, false, schedule.ParseSpec)
	if want := path + ":2: tags.every: "; !strings.HasPrefix(fmt.Sprint(err), want) {
		t.Errorf("got %v, want it to begin with %s", err, want)
	}
}

func TestPasswordsAreNeverInErrors(t *testing.T) {
	const secret = "s3cr3t"
	url := "https://user:" + secret + "@git.example.com/etch.git"
	for _, text := range []string{
		"working_copy: {url: '" + url + "', branch: 5}",
		"working_copy: {url: 'https://user:" + secret + "%zz@h/x'}",
		"working_copy: {url: 'https://user:" + secret + "/@[h/x'}",
		"working_copy: {url: 'bzr://user:" + secret + "@h/x'}",
		"working_copy: {url: [" + url + "]}",
		"working_copy: {url: '" + url + "\\\n'}",
		"working_copy: {url: \"" + url + "\\n\"}",
		"working_copy: {url: \"" + url + "}",
		"working_copy: {url: " + url + "\nbranch: x}",
		"working_copy:\n  url:" + url,
		"working_copy:\n  " + url + ": x",
		"working_copy: {" + url + "}",
		url,
		"- " + url,
		"working_copy: {url: *" + url + "}",
		"working_copy: {url: !!int '" + url + "'}",
		"working_copy: {path: '../" + url + "'}",
		"working_copy: {branch: '" + url + "'}",
		"tagstate: ['/" + url + "']",
	} {
		_, err := parseConfig(text)
		if err == nil {
			t.Errorf("%s: no error", text)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the password is in the error: %v", text, err)
		}
	}
}

// hostileTexts are words that break out of naive quoting.
var hostileTexts = []string{
	"", "plain", `"`, `'`, `\`, `\"`, `"\n#`, "a: b", "# comment", "- x", "{}", "[", "*x", "&x", "!!binary eA==", "|", ">-",
	"%YAML", "---", "...", "~", "null", "true", "1", "\n", "\r\n", "\t", "\x00", "\x01", "\x1b[31m", "\x7f", "\u0085",
	"\u2028", "\ufeff", "\U0010ffff", "😀", "ü", "$1", "${1}", "%s", "a\n  branch: \"\"\nb", "\n  url: \"\"\n",
	"https://user:p\"w@host/x", "git@host:x # y",
}

func TestRenderedConfigurationHoldsHostileTexts(t *testing.T) {
	for i, url := range hostileTexts {
		checkRendered(t, url, hostileTexts[len(hostileTexts)-1-i])
	}
}

func TestRenderedConfigurationHoldsAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkRendered(t, rapid.String().Draw(t, "url"), rapid.String().Draw(t, "branch")) })
}

// checkRendered fails if a rendered configuration differs from the example in more than the two values.
func checkRendered(t interface{ Fatalf(string, ...any) }, url, branch string) {
	rendered := Render(WorkingCopy{Kind: "auto", URL: url, Branch: branch})
	var got struct {
		WorkingCopy struct {
			URL    string `yaml:"url"`
			Branch string `yaml:"branch"`
		} `yaml:"working_copy"`
	}
	if err := yaml.Unmarshal(rendered, &got); err != nil {
		t.Fatalf("url %q and branch %q: %v", url, branch, err)
	}
	if got.WorkingCopy.URL != url || got.WorkingCopy.Branch != branch {
		t.Fatalf("url %q and branch %q are rendered as %q", url, branch, got.WorkingCopy)
	}
	lines, original := bytes.Split(rendered, []byte("\n")), bytes.Split(examples.Config, []byte("\n"))
	if len(lines) != len(original) {
		t.Fatalf("url %q and branch %q: %d lines have become %d", url, branch, len(original), len(lines))
	}
	for i := range lines {
		value := bytes.HasPrefix(original[i], []byte("  url: ")) || bytes.HasPrefix(original[i], []byte("  branch: "))
		if !value && !bytes.Equal(lines[i], original[i]) {
			t.Fatalf("url %q and branch %q: line %d has become %q", url, branch, i+1, lines[i])
		}
	}
}

func TestRenderedConfigurationLoads(t *testing.T) {
	want := Default()
	want.WorkingCopy.Kind, want.WorkingCopy.URL = "cvs", ":ext:joe@cvs.example.com:/srv/cvs"
	want.WorkingCopy.Branch, want.WorkingCopy.Module = "stable", "etch"
	got, err := parseConfig(string(Render(want.WorkingCopy)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wanted (-), got (+):\n%s", diff)
	}
}

func TestYAMLBombsAreHarmless(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [lol]\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9))
	}
	for name, text := range map[string]string{
		"laughs":          laughs.String(),
		"itself":          "tags: &a {keep: *a}",
		"deep lists":      strings.Repeat("[", 11_000),
		"deep mappings":   strings.Repeat("a: {", 11_000),
		"many keys":       strings.Repeat("a: 1\n", 2_000),
		"many rings":      "rings:\n" + strings.Repeat("- {}\n", 2_000),
		"an endless name": "? " + strings.Repeat("x", 1<<16) + "\n: 1",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseConfig(text); err == nil {
				t.Error("no error")
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add(string(examples.Config))
	for _, text := range hostileTexts {
		f.Add("working_copy: {url: " + text + "}")
	}
	for _, text := range []string{"tags: {every: 15m}", "rings: [{name: a, delay: 1h, groups: [a], percent: 5}, {name: b, delay: 2h}]",
		"tagstate: &a [x]\ninventory: *a", "<<: {tags: 1}", "---\n---\n", "tags: [", "inventory: [{kind: file, path: x}, ~]"} {
		f.Add(text)
	}
	line := regexp.MustCompile(`^F:[1-9][0-9]*: .`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig(text)
		if err != nil {
			for problem := range strings.Lines(err.Error()) {
				if !line.MatchString(problem) {
					t.Errorf("an error without a line: %q", problem)
				}
			}
			return
		}
		c.Cadence()
		if err := c.Rings.Validate(); err != nil {
			t.Error(err)
		}
		for _, path := range append([]string{c.WorkingCopy.Path}, c.Tagstate...) {
			if !filepath.IsLocal(path) || path != filepath.Clean(path) || !utf8.ValidString(path) {
				t.Errorf("the path %q is accepted", path)
			}
		}
		if c.WorkingCopy.Timeout <= 0 || c.Tags.Keep.Within <= 0 || c.Tags.Keep.Last < 0 || c.ServerUser == "" {
			t.Errorf("an impossible value is accepted: %+v", c)
		}
	})
}

func BenchmarkLoadConfig(b *testing.B) {
	path := filepath.Join(b.TempDir(), "etchtag.yml")
	if err := os.WriteFile(path, examples.Config, 0o644); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(path, true, schedule.ParseSpec); err != nil {
			b.Fatal(err)
		}
	}
}
