package health

import (
	"errors"
	"strings"
	"testing"
)

func TestProgramOfAnotherVersion(t *testing.T) {
	t.Parallel()
	program := func(theirs Seen[string], lacks string) *Facts {
		return &Facts{Nodetagger: Program{File: File{Path: "nodetagger", Mode: 0o755}, Version: theirs, Ours: "v1.2.0 abc", Lacks: lacks}}
	}
	for _, test := range []struct {
		name  string
		facts *Facts
		level Level
		says  string
	}{
		{"the same", program(Seen[string]{Value: "v1.2.0 abc"}, ""), OK, "the same version"},
		{"an older one", program(Seen[string]{Value: "v1.1.0 abc"}, ""), Warning, "v1.1.0 abc, and this program of v1.2.0 abc"},
		{"another commit", program(Seen[string]{Value: "v1.2.0 abd"}, ""), Warning, "v1.2.0 abd"},
		{"none of ours", program(Seen[string]{Err: errors.New("no program of Go")}, ""), OK, "the site's own"},
		{"without etchtag", program(Seen[string]{Value: "v1.2.0 abc"}, "etchtag is not there"), Problem, "etchtag is not there"},
	} {
		if f := test.facts.nodetaggerFinding(); f.Level != test.level || !strings.Contains(f.Says, test.says) {
			t.Errorf("%s: %+v", test.name, f)
		}
	}
}
