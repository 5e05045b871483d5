package inventory

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"github.com/etch/etchtag/tagging/inventory/parse"
	"github.com/etch/etchtag/tagging/inventory/parse/parsetest"
)

func TestAnswersOfACommand(t *testing.T) {
	known := func(pin string, groups ...string) Answer { return Answer{Known: true, Groups: groups, Pin: pin} }
	tests := []struct {
		name, text string
		want       Answer
	}{
		{"nothing", "", Answer{}},
		{"white space", " \n\n", Answer{}},
		{"null", "null\n", Answer{}},
		{"a tilde", "~", Answer{}},
		{"an empty mapping", "{}\n", Answer{}},
		{"an empty JSON object on two lines", "{\n}\n", Answer{}},
		{"a document without anything", "---\n", Answer{}},
		{"both keys in YAML", "groups: [web, prod, web]\ntag: tags/release-7\n", known("tags/release-7", "prod", "web")},
		{"both keys in JSON", `{"groups":["web","prod"],"tag":"trunk"}`, known("trunk", "prod", "web")},
		{"JSON with tabs", "{\n\t\"groups\": [\n\t\t\"web\"\n\t],\n\t\"tag\": null\n}\n", known("", "web")},
		{"JSON that escapes slashes", `{"tag":"tags\/x"}`, known("tags/x")},
		{"JSON that escapes letters", `{"groups":["\u00e9","\ud83d\ude00"]}`, known("", "é", "😀")},
		{"JSON from Windows", "{\"groups\":[\"web\"]\r\n}\r\n", known("", "web")},
		{"JSON with other values", `{"groups":[10,1.50,1e3,true,null,""]}`, known("", "1.50", "10", "1e3", "true")},
		{"JSON with a key that is escaped", `{"gr\u006fups":["a"]}`, known("", "a")},
		{"a group alone", "groups: web", known("", "web")},
		{"a group alone in JSON", `{"groups":"web"}`, known("", "web")},
		{"no groups", "groups: []", known("")},
		{"groups that are null", "groups:\ntag: ''\n", known("")},
		{"names that YAML reads otherwise", "groups: [010, no, 2026-11-22]", known("", "010", "2026-11-22", "no")},
		{"an alias", "groups: [&a web, *a]", known("", "web")},
		{"a byte-order mark", "\ufeffgroups: [web]", known("", "web")},
		{"comments", "# from the database\ngroups: [web] # one\n", known("", "web")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, err := parseAnswer("f", "h", test.text)
			if len(a.Groups) == 0 && len(test.want.Groups) == 0 {
				a.Groups, test.want.Groups = nil, nil
			}
			if err != nil || !reflect.DeepEqual(a, test.want) {
				t.Errorf("got %+v, %v\nwant %+v", a, err, test.want)
			}
		})
	}
}

func TestAnswersOfACommandThatAreMistakes(t *testing.T) {
	tests := []struct {
		name, text string
		line       int
		problem    string
	}{
		{"a misspelt key", "groups: [a]\ntags: trunk", 2, `unknown key "tags"; groups and tag are possible`},
		{"in JSON", "{\"groups\": [],\n\"pin\": \"trunk\"}", 2, `unknown key "pin"`},
		{"in another case", "Tag: trunk", 1, `unknown key "Tag"`},
		{"a key twice", "tag: a\ngroups: []\ntag: a", 3, `"tag" stands here a second time; the first is in line 1`},
		{"in JSON, too", "{\"tag\": \"a\",\n \"t\\u0061g\": \"a\"}", 2, `"tag" stands here a second time`},
		{"a list", "- web\n", 1, "a mapping is expected, not a list"},
		{"a JSON list", `["web"]`, 1, "a mapping is expected, not a list"},
		{"a word", "web", 1, "a mapping is expected, not a single value"},
		{"an error page", "<html>\n", 1, "a mapping is expected"},
		{"a tag that is a list", "tag: [a]", 1, "the tag must be a path, not a list"},
		{"a tag that is an object", `{"tag": {"a": 1}}`, 1, "the tag must be a path, not a mapping"},
		{"groups that are a mapping", "groups: {web: true}", 1, "a list of names is expected, not a mapping"},
		{"a group that is a list", `{"groups": [["web"]]}`, 1, "a name is expected, not a list"},
		{"a group with a control character", `{"groups": ["a\u001b[0m"]}`, 1, "cannot be seen"},
		{"and in YAML", "tag: trunk\ngroups: [\"\\0\"]", 2, "cannot be seen"},
		{"a second document", "groups: [a]\n---\ntag: trunk\n", 2, "a second YAML document begins here"},
		{"a second JSON object", "{\"groups\": [\"a\"]}\n{\"tag\": \"trunk\"}\n", 2, ""},
		{"half of JSON", "{\"groups\": [\"a\",", 1, ""},
		{"bytes that are not UTF-8", "{\"groups\": [\"a\xff\"]}", 1, ""},
		{"a merge key", "<<: {tag: a}", 1, "merge keys"},
		{"an empty key", `{"": 1}`, 1, "a name is expected"},
		{"deep nesting", "groups: " + strings.Repeat("[", 500_000), 1, "max depth"},
		{"deep nesting in JSON", `{"groups":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + "}", 1, ""},
		{"a bomb of aliases", aliasBomb(), 2, `unknown key "b"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, err := parseAnswer("f", "h", test.text)
			if !reflect.DeepEqual(a, Answer{}) {
				t.Errorf("got %+v", a)
			}
			inventorytest.CheckFault(t, err, "f", test.line, test.problem)
		})
	}
}

// aliasBomb is a short document of very many names, if all aliases are replaced by what they stand for.
func aliasBomb() string {
	text := "groups: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		text += fmt.Sprintf("%c: &%[1]c [%s]\n", c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), ", "))
	}
	return text
}

func TestCommand(t *testing.T) {
	p := script(t, `echo "{groups: [\"$1\", \"$2\"], tag: tags/x}"`)
	c := NewCommand([]string{p.path, "of"}, ProgramOptions{})
	a := mustLookup(t, c, "h")
	want := Answer{Known: true, Groups: []string{"h", "of"}, Pin: "tags/x", PinFrom: "command " + p.path + " of"}
	if !reflect.DeepEqual(a, want) || c.Name() != want.PinFrom {
		t.Errorf("got %+v\nwant %+v", a, want)
	}
}

func TestCommandThatFails(t *testing.T) {
	malformed := script(t, "echo; echo group: web")
	_, err := NewCommand([]string{malformed.path}, ProgramOptions{}).Lookup(t.Context(), "h")
	inventorytest.CheckFault(t, err, "output of "+malformed.path, 2, `unknown key "group"`)
	failing := script(t, "echo groups: web; echo no database >&2; exit 2")
	a, err := NewCommand([]string{failing.path}, ProgramOptions{}).Lookup(t.Context(), "h")
	if err == nil || a.Known || !strings.Contains(err.Error(), "exit status 2; its standard error: no database") {
		t.Errorf("got %+v, %v", a, err)
	}
	if a, err := NewCommand(nil, ProgramOptions{}).Lookup(t.Context(), "h"); err == nil || a.Known {
		t.Errorf("no command: %+v, %v", a, err)
	}
}

func FuzzCommandOutput(f *testing.F) {
	for _, seed := range append(parsetest.YAML(), aliasBomb(),
		`{"groups":["a",1,null],"tag":"x"}`, "{\"tag\":\n\"\\/\"}", "{}{}",
		`{"groups":{"a":[]}}`, `{"\ud800":1}`, "tag: &a x\ngroups: *a\n", "groups: [a]\ntag: trunk\n") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAnswer("f", "h", text)
		checkParsed(t, text, err)
		if _, ok := errors.AsType[*parse.Fault](err); err != nil && (!ok || a.Known) {
			t.Errorf("got %+v, %v", a, err)
		}
		if !slices.IsSorted(a.Groups) || !a.Known && (a.Groups != nil || a.Pin != "") {
			t.Errorf("got %+v", a)
		}
	})
}
