package source

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSSHLinesAreTakenApart(t *testing.T) {
	for line, want := range map[string][]string{
		"":                                nil,
		"# Host x":                        nil,
		"Host":                            nil,
		"\tHostName  example.com \r\n":    {"hostname", "example.com"},
		"Port=2222":                       {"port", "2222"},
		"PORT = 2222 # the other one":     {"port", "2222"},
		"Host a 'b c' \"d\"e !f":          {"host", "a", "b c", "de", "!f"},
		`IdentityFile "~/my keys/a\"b"`:   {"identityfile", `~/my keys/a"b`},
		"IdentityFile \"~/never closed\n": {"identityfile", "~/never closed"},
		`User "a#b"`:                      {"user", "a#b"},
		`= x`:                             nil,
	} {
		key, values := parseSSHLine(line)
		var got []string
		if len(values) > 0 {
			got = append([]string{key}, values...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", line, diff)
		}
	}
}

// sshConfigLines are what configurations are made of at random.
func sshConfigLines(included string) *rapid.Generator[string] {
	value := func(key string, values ...string) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			key := rapid.SampledFrom([]string{key, strings.ToLower(key), strings.ToUpper(key)}).Draw(t, "key")
			between := rapid.SampledFrom([]string{" ", "\t", "=", " = "}).Draw(t, "between")
			after := rapid.SampledFrom([]string{"", " ", "  # note", "\t"}).Draw(t, "after")
			return key + between + rapid.SampledFrom(values).Draw(t, "value") + after
		})
	}
	return rapid.OneOf(
		value("Host", "*", "git", "git.example.com", "*.example.com", "g?t", "git web", "* !git", "!web git*", `"git" web`, "!git", "g[i]t", `g\\it`),
		value("HostName", "one", "two.example.com", `"three"`),
		value("Port", "1", "22", "2222"),
		value("User", "alice", "bob", `"carol"`),
		value("IdentityFile", "/k1", "/k2", `"/with blank"`, `/with\ one`, `/a\b`, `"/q\"d"`, `'/s "q"'`),
		rapid.SampledFrom([]string{"", "# nothing", "Match all", "Match host nowhere", "ForwardAgent no", "Include " + included,
			`Include "` + included + `"`, "Include /nonexistent/*"}),
	)
}

func TestSSHConfigurationIsUnderstoodAsSSHDoes(t *testing.T) {
	ssh := needProgram(t, "ssh")
	dir := t.TempDir()
	main, included := filepath.Join(dir, "config"), filepath.Join(dir, "included")
	rapid.Check(t, func(rt *rapid.T) {
		write := func(name, others string) {
			writeTestFile(t, name, strings.Join(rapid.SliceOfN(sshConfigLines(others), 0, 12).Draw(rt, name), "\n")+"\n")
		}
		write(main, included+"*")
		write(included, filepath.Join(dir, "nothing"))
		host := rapid.SampledFrom([]string{"git", "web", "git.example.com"}).Draw(rt, "host")
		out, err := exec.Command(ssh, "-G", "-F", main, host).CombinedOutput()
		if err != nil {
			rt.Fatalf("ssh -G: %v %s", err, out)
		}
		said := map[string][]string{}
		for line := range strings.Lines(string(out)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			said[key] = append(said[key], value)
		}
		var r sshConfigReader
		r.file(main, dir, nil, maxSSHIncludes)
		for key, usual := range map[string]string{"hostname": host, "port": "22", "user": currentUser(t)} {
			got := r.settings.get(host, key)
			if got == "" {
				got = usual
			}
			if got != said[key][0] {
				rt.Errorf("%s of %s is %q, and ssh takes %q", key, host, got, said[key][0])
			}
		}
		var files []string
		for _, file := range said["identityfile"] {
			if !strings.HasPrefix(file, "~/.ssh/") { // the usual ones
				files = append(files, file)
			}
		}
		// Each file that is named twice is tried once.
		got := r.settings.all(host, "IdentityFile")
		seen := map[string]bool{}
		var once []string
		for _, file := range got {
			if !seen[file] {
				once = append(once, file)
			}
			seen[file] = true
		}
		if diff := cmp.Diff(files, once); diff != "" {
			rt.Errorf("identity files: %s", diff)
		}
	})
}

func TestSSHFilesThatIncludeThemselvesEnd(t *testing.T) {
	dir := t.TempDir()
	writeTestFile(t, filepath.Join(dir, "config"), "Include config\nUser me\n")
	var r sshConfigReader
	r.file(filepath.Join(dir, "config"), dir, nil, maxSSHIncludes)
	if got := r.settings.get("host", "User"); got != "me" || len(r.settings) != maxSSHIncludes+1 {
		t.Errorf("the user is %q, of %d settings", got, len(r.settings))
	}
}

func FuzzSSHConfig(f *testing.F) {
	for _, seed := range []string{"Host a b\n HostName x\n", "Match all\nPort=22\n", "Include *\n", "User \"a b\" # c\n", "Host !\\\"\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for line := range strings.Lines(text) {
			key, values := parseSSHLine(line)
			if key != strings.ToLower(key) || strings.ContainsAny(key, " \t\r\n=\"") {
				t.Fatalf("%q has the keyword %q", line, key)
			}
			for _, value := range values {
				if len(value) >= len(line) {
					t.Fatalf("%q has the value %q", line, value)
				}
			}
			// What is quoted comes back, whatever it is.
			for _, value := range values {
				quoted := fmt.Sprintf("%s \"%s\"", "key", strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value))
				if _, again := parseSSHLine(quoted); len(again) != 1 || again[0] != value {
					t.Fatalf("%q was taken for %q", quoted, again)
				}
			}
			sshScope{values}.fits("host")
		}
	})
}

func TestSSHIncludesPassOverHiddenFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"config": "Include d/*\nInclude e/[!x]\nInclude h/.*\n", "d/.work.swp": "User wrong\n", "d/work": "User right\n",
		"e/x": "Port 1\n", "e/y": "Port 2\n", "h/.hidden": "HostName asked-for\n",
	} {
		writeTestFile(t, filepath.Join(dir, name), text)
	}
	var r sshConfigReader
	r.file(filepath.Join(dir, "config"), dir, nil, maxSSHIncludes)
	for key, want := range map[string]string{"User": "right", "Port": "2", "HostName": "asked-for"} {
		if got := r.settings.get("h", key); got != want {
			t.Errorf("%s is %q, not %q", key, got, want)
		}
	}
}
