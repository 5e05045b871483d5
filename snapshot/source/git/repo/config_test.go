package repo

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/testbed"
)

// configSamples are files that git accepts.
var configSamples = []string{
	"",
	"# comment\n; another\n",
	"[core]\n\tbare = false\n\tfilemode\n",
	"[core]bare=true",
	"[core]\r\n\tbare = false\r\n",
	"\xef\xbb\xbf[core]\n\tbare = true\n",
	"[remote \"origin\"]\n\turl = https://example.com/a.git ; comment\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
	"[remote \"origin\"]\n\turl = \"a b # c\" # d\n\turl = second\n",
	"[branch \"feature/x.y\"]\n\tremote = origin\n\tmerge = refs/heads/feature/x.y\n",
	"[branch \"a\\\"b\\\\c\"]\n\tremote = x\n",
	"[Section.Sub]\n\tKey = Value\n",
	"[a]\n\tx = one \\\n  two\n\ty = \"tab\\there\" \\\"quoted\\\"\n",
	"[alias]\n\tst = status -s\n\tx = \"!f() { git log \\\"$1\\\"; }; f\"\n",
	"[a]\n\tx = trailing   \t\n\ty =\n\tz = \"\"\n",
	"[a] x = same line\n[b]\n",
	"[a]\n\tx = one\\ttwo\\nthree\\bfour\n",
}

func TestGitConfigIsReadAsGitReadsIt(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	for _, text := range configSamples {
		config, err := ParseConfig([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got, want := listed(config), gitConfigList(t, text); got != want {
			t.Errorf("%q:\ngot  %q\nwant %q", text, got, want)
		}
	}
}

// listed writes a configuration as "git config --list -z" does.
func listed(c Config) string {
	var b strings.Builder
	for _, s := range c {
		name := s.Section
		if s.Sub != "" {
			name += "." + s.Sub
		}
		b.WriteString(name + "." + s.Key + "\n" + s.Value + "\x00")
	}
	return b.String()
}

func gitConfigList(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	testbed.WriteTestFile(t, file, text)
	cmd := exec.Command("git", "config", "--file", file, "--list", "-z")
	cmd.Env = testbed.GitEnv()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git config of %q: %v", text, err)
	}
	// A name without a value is true; git lists it without a line feed.
	items := bytes.Split(out, []byte{0})
	for i, item := range items {
		if len(item) > 0 && !bytes.Contains(item, []byte("\n")) {
			items[i] = append(item, "\ntrue"...)
		}
	}
	return string(bytes.Join(items, []byte{0}))
}

func TestGitConfigThatGitRefusesIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	for text, line := range map[string]string{
		"x = 1\n":                       "line",
		"[core\n":                       "line",
		"[core]\n[remote \"origin\n]\n": "line",
		"[core]\n\t= 1\n":               "line 2",
		"[core]\n\n\tx = \"open\n":      "line",
		"[core]\n\tx = \\q\n":           "line 2",
		"[core]\n\tx y\n":               "line 2",
		"[core]\n\tx = a\x00b\n":        "line 2",
		"\x00\x00\x00\x00":              "line 1",
		"[]\n":                          "line",
		"[a \"b\" c]\n":                 "line",
	} {
		if c, err := ParseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("%q: got %v, error %v", text, c, err)
		}
	}
}

func FuzzGitConfig(f *testing.F) {
	for _, text := range configSamples {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		config, err := ParseConfig(text)
		if err != nil {
			return
		}
		for _, s := range config {
			if s.Sub == "" && strings.Contains(s.Section, ".") || strings.ContainsAny(s.Sub, "\x00\n") {
				return // git cannot write these back either
			}
		}
		again, err := ParseConfig([]byte(config.String()))
		if err != nil || listed(again) != listed(config) {
			t.Fatalf("%q was written as %q and read as %v, %v", text, config.String(), again, err)
		}
	})
}

func TestRepositoriesInFormatsThatWeCannotReadAreRefusedByName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"[core]\nrepositoryformatversion = 2": "core.repositoryformatversion = 2",
		"[extensions]\nobjectFormat = sha256": "extensions.objectformat = sha256",
		"[extensions]\nrefStorage = reftable": "extensions.refstorage = reftable",
		"[extensions]\nnewFangled = 1":        "extensions.newfangled = 1",
		"[core]\nrepositoryformatversion = 0": "",
		"[core]\nrepositoryformatversion = 1\n[extensions]\nworktreeConfig = true\nrelativeWorktrees = true\n" +
			"partialClone = origin\npreciousObjects = true\nnoop = 1\nobjectFormat = sha1\nrefStorage = files\n": "",
	} {
		config, err := ParseConfig([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		err = CheckFormat("/repo.git", config)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
