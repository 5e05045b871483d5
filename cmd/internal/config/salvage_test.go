package config

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSalvageTakesWhatIsRight(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want func(*Config) // changes the defaults
	}{
		"a mistake elsewhere": {
			"working_copy: {path: wc, branch: 7}\ntags: {every: 30m, files: soft}\ntagstate: [wc/tagstate, marks]\nserver_user: a b\nfrob: 1\n",
			func(c *Config) {
				c.WorkingCopy.Path, c.Tags.Every, c.Tagstate = "wc", 30*time.Minute, []string{"wc/tagstate", "marks"}
			}},
		"nothing else is taken": {"server_user: etch\nrings: [{name: all, delay: 1h}]\nfrob: 1\n", func(*Config) {}},
		"a file that cannot be": {"tags: {every: 30m}\ntagstate: [trunk/tagstate, ../marks]\n",
			func(c *Config) { c.Tags.Every = 30 * time.Minute }},
		"no files":        {"tagstate: []\n", func(*Config) {}},
		"no time":         {"tags: {every: 50m}\ntagstate: [marks]\n", func(c *Config) { c.Tagstate = []string{"marks"} }},
		"no path":         {"working_copy: {path: ../wc}\n", func(*Config) {}},
		"a like key":      {"tagstates: 7\ntagstate: [marks]\n", func(c *Config) { c.Tagstate = []string{"marks"} }},
		"not YAML":        {"tagstate: [marks\n", func(*Config) {}},
		"nothing at all":  {"", func(*Config) {}},
		"not UTF-8":       {"tagstate: [\xff]\n", func(*Config) {}},
		"nothing but one": {"7\n", func(*Config) {}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := Default()
			test.want(&want)
			if diff := cmp.Diff(&want, Salvage(writeConfig(t, test.text))); diff != "" {
				t.Errorf("wanted (-), got (+):\n%s", diff)
			}
		})
	}
	want := Default()
	if diff := cmp.Diff(&want, Salvage(filepath.Join(t.TempDir(), "absent"))); diff != "" {
		t.Errorf("absent: wanted (-), got (+):\n%s", diff)
	}
}
