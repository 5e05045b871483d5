package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/examples"
	"github.com/etch/etchtag/schedule"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagstate"
	"github.com/google/go-cmp/cmp"
	"github.com/robfig/cron/v3"
	"go.yaml.in/yaml/v3"
)

// examplesDir is where the examples are that are not embedded.
const examplesDir = "../../examples"

// program is the path under which every example expects the program.
const program = "/usr/local/bin/etchtag"

// units are the examples for systemd.
var units = []string{"etchtag.service", "etchtag-snapshot.service", "etchtag-snapshot.timer",
	"etchtag-update.service", "etchtag-update.timer"}

func readExample(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examplesDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEveryExampleIsTested(t *testing.T) {
	tested := map[string]bool{"etchtag.yml": true, "nodetagger": true, "cron.d/etchtag": true, "examples.go": true}
	for _, unit := range units {
		tested["systemd/"+unit] = true
	}
	err := filepath.WalkDir(examplesDir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(examplesDir, file)
		if err != nil {
			return err
		}
		if !tested[name] && !strings.HasPrefix(name, "tree/") {
			t.Errorf("no test knows the example %s", name)
		}
		delete(tested, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range tested {
		t.Errorf("the example %s is missing", name)
	}
}

func TestExampleConfigurationIsTheDefault(t *testing.T) {
	got, err := config.Load(filepath.Join(examplesDir, "etchtag.yml"), true, schedule.ParseSpec)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), *got); diff != "" {
		t.Errorf("the defaults (-) and the example (+) differ:\n%s", diff)
	}
	if diff := cmp.Diff(readExample(t, "etchtag.yml"), string(config.Render(config.WorkingCopy{Kind: "auto"}))); diff != "" {
		t.Errorf("the example (-) and what init writes (+) differ:\n%s", diff)
	}
}

func TestExampleConfigurationExplainsEveryKey(t *testing.T) {
	text := readExample(t, "etchtag.yml")
	keys := knownKeys(t)
	if len(keys) < 30 {
		t.Fatalf("found only %d keys: %v", len(keys), keys)
	}
	for _, key := range keys {
		given := regexp.MustCompile(`(?m)^ *(# |- )*` + key + `: ?`)
		told := regexp.MustCompile(`(?m)^ *#.*\b` + key + `: [^"]`) // in the middle of a comment
		if !given.MatchString(text) && !told.MatchString(text) {
			t.Errorf("the key %s is not in the example", key)
		}
	}
	var last string
	for line := range strings.Lines(text) {
		mapping := regexp.MustCompile(`^ {0,2}([a-z_]+):`).FindStringSubmatch(line)
		if mapping != nil && !strings.HasPrefix(strings.TrimSpace(last), "#") && mapping[1] != "within" {
			t.Errorf("no comment stands before %q", strings.TrimSpace(line))
		}
		last = line
	}
}

// knownKeys asks for every key that a configuration can have, by naming one that does not exist.
func knownKeys(t *testing.T) []string {
	t.Helper()
	found := make(map[string]bool)
	for _, mapping := range []string{"%s", "working_copy: {%s}", "working_copy: {auth: {%s}}", "tags: {%s}",
		"tags: {keep: {%s}}", "schedule: {%s}", "inventory: [{kind: etch, %s}]", "rings: [{name: a, delay: 0h, %s}]"} {
		c := config.Default()
		err := c.Parse("F", []byte(fmt.Sprintf(mapping, "qqqqqqqqqqqqq: 1")), schedule.ParseSpec)
		_, list, ok := strings.Cut(fmt.Sprint(err), "the keys here are ")
		if !ok {
			t.Fatalf("%s: %v", mapping, err)
		}
		for _, key := range strings.Split(list, ", ") {
			found[key] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// copyTree copies the sample tree to a new directory, as the demo does.
func copyTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := fs.WalkDir(examples.Tree, "tree", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(name, "tree"))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		data, err := examples.Tree.ReadFile(name)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if slices.Contains(examples.Executables, name) {
			mode = 0o755
		}
		return os.WriteFile(to, data, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEmbeddedTreeIsTheOneOnDisk(t *testing.T) {
	embedded := copyTree(t)
	compare := func(from, to string) {
		err := filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name, err := filepath.Rel(from, file)
			if err != nil {
				return err
			}
			other := filepath.Join(to, name)
			a, errA := os.Lstat(file)
			b, errB := os.Lstat(other)
			if err := errors.Join(errA, errB); err != nil {
				t.Error(err)
				return nil
			}
			if !a.Mode().IsRegular() || a.Mode()&0o111 != b.Mode()&0o111 {
				t.Errorf("%s has the mode %v, but %s %v", file, a.Mode(), other, b.Mode())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	onDisk := filepath.Join(examplesDir, "tree")
	compare(onDisk, embedded)
	compare(embedded, onDisk)
}

func TestSampleHostsAreInTheirRings(t *testing.T) {
	want := map[string]string{
		"dev1": "dev", "dev2": "dev", "int1": "dev",
		"qa1": "qa", "qa2": "qa",
		"stg1": "staging", "stg2": "staging",
		"prod1": "production", "prod2": "production", "prod3": "production", "prod4": "production", "prod9": "production",
	}
	tree := inventory.Tree{Label: "sample", Dir: copyTree(t)}
	etch := inventory.NewEtch(slices.Values([]inventory.Tree{tree}))
	got := make(map[string]string)
	err := etch.Hosts(context.Background(), func(host string, a inventory.Answer) bool {
		ring, _ := config.Default().Rings.Match(host, a.Groups)
		got[strings.TrimSuffix(host, ".example.com")] = ring.Name
		if production := slices.Contains(a.Groups, "production"); production != (ring.Name == "production") {
			t.Errorf("%s is in the ring %s and in the groups %v", host, ring.Name, a.Groups)
		}
		return true
	})
	if err := errors.Join(err, inventory.CompileTo(io.Discard, tree.Dir)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wanted (-), got (+):\n%s", diff)
	}
}

func TestSampleTreeHasWhatEtchNeeds(t *testing.T) {
	dir := copyTree(t)
	for _, host := range []string{"dev1.example.com", "nobody-knows"} {
		out, err := exec.Command(filepath.Join(dir, "nodegrouper"), host).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("nodegrouper %s: %v, output %q", host, err, out)
		}
	}
	marks, err := tagstate.Load(filepath.Join(dir, "tagstate"), "tagstate", new(config.Default()).Cadence().Valid)
	if err != nil {
		t.Fatal(err)
	}
	if len(marks.Entries) > 0 || len(marks.Warnings) > 0 {
		t.Errorf("the sample tagstate has the entries %v and the warnings %v", marks.Entries, marks.Warnings)
	}
	var defaults struct {
		File      struct{ Perms int }
		Link      struct{ Perms int }
		Directory struct{ Perms int }
	}
	decodeYAML(t, filepath.Join(dir, "defaults.yml"), &defaults)
	if defaults.File.Perms == 0 || defaults.Link.Perms == 0 || defaults.Directory.Perms == 0 {
		t.Errorf("defaults.yml lacks modes: %+v", defaults)
	}
	if _, err := os.Stat(filepath.Join(dir, "warning.txt")); err != nil {
		t.Error(err)
	}
}

func TestSampleTreeNamesOnlyFilesThatExist(t *testing.T) {
	dir := copyTree(t)
	used := make(map[string]bool)
	configs := 0
	walkFiles(t, filepath.Join(dir, "source"), func(file string) {
		if filepath.Base(file) != "config.yml" {
			return
		}
		configs++
		var config struct {
			File map[string]any
		}
		decodeYAML(t, file, &config)
		for _, key := range []string{"plain", "template", "script"} {
			for _, name := range conditionalValues(config.File[key]) {
				used[filepath.Join(filepath.Dir(file), name)] = true
			}
		}
	})
	walkFiles(t, filepath.Join(dir, "source"), func(file string) {
		if filepath.Base(file) != "config.yml" && !used[file] {
			t.Errorf("no config.yml uses %s", file)
		}
		delete(used, file)
	})
	for file := range used {
		t.Errorf("a config.yml uses %s, which does not exist", file)
	}
	walkFiles(t, filepath.Join(dir, "commands"), func(file string) {
		var commands struct{ Steps []map[string]any }
		decodeYAML(t, file, &commands)
		if filepath.Base(file) != "commands.yml" || len(commands.Steps) == 0 {
			t.Errorf("%s has no steps", file)
		}
	})
	if configs < 8 {
		t.Errorf("there are only %d files in the sample tree", configs)
	}
}

// conditionalValues are the values that a key can have, with or without etch's conditions: "a", or a list
// of "where CONDITION: a".
func conditionalValues(v any) []string {
	var values []string
	switch v := v.(type) {
	case string:
		values = append(values, v)
	case []any:
		for _, item := range v {
			values = append(values, conditionalValues(item)...)
		}
	case map[string]any:
		for condition, item := range v {
			if strings.HasPrefix(condition, "where ") {
				values = append(values, conditionalValues(item)...)
			}
		}
	}
	return values
}

func walkFiles(t *testing.T, dir string, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			visit(file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func decodeYAML(t *testing.T, file string, to any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, to); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// wrappedBase makes a base with the wrapper in it, and a program that prints its arguments, each followed by
// a NUL, and then exits with status 7.
func wrappedBase(t *testing.T) (base, wrapper string, env []string) {
	t.Helper()
	root := t.TempDir()
	bin, base := filepath.Join(root, "bin"), filepath.Join(root, "-a base's \"$(name)\" *")
	for _, dir := range []string{bin, base} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fake := "#!/bin/sh\nprintf '%s\\0' \"$@\"\nexit 7\n"
	wrapper = filepath.Join(base, "nodetagger")
	for file, text := range map[string]string{filepath.Join(bin, "etchtag"): fake, wrapper: readExample(t, "nodetagger")} {
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "CDPATH="+root)
	return base, wrapper, env
}

// checkWrapper runs the wrapper and compares what the program gets with what it should.
func checkWrapper(t *testing.T, cmd *exec.Cmd, base string, args ...string) {
	t.Helper()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 || len(exit.Stderr) > 0 {
		t.Errorf("%q: the program's exit status 7 has become: %v", args, err)
	}
	want := append([]string{"--base", base, "nodetagger", "--"}, args...)
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the program should have got (-), has got (+):\n%s", diff)
	}
}

func TestWrapperHandsEveryHostNameOver(t *testing.T) {
	base, wrapper, env := wrappedBase(t)
	for _, args := range [][]string{{"web1.example.com"}, {}, {""}, {"a", "b"}, {"a b"}, {"-h"}, {"--help"}, {"--"}, {"*"},
		{"$(touch pwned)"}, {"`touch pwned`"}, {"; touch pwned"}, {"a\nb"}, {"\xff\xfe"}, {"'\"\\"}, {strings.Repeat("x", 10_000)}} {
		cmd := exec.Command(wrapper, args...)
		cmd.Env, cmd.Dir = env, t.TempDir()
		checkWrapper(t, cmd, base, args...)
		if left, _ := os.ReadDir(cmd.Dir); len(left) > 0 {
			t.Errorf("%q: something was executed, and left %s", args, left[0].Name())
		}
	}
}

func TestWrapperFindsItsBase(t *testing.T) {
	base, wrapper, env := wrappedBase(t)
	other := t.TempDir()
	link := filepath.Join(other, "nodetagger")
	if err := os.Symlink(wrapper, link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, command, dir, base string }{
		{"by an absolute path", wrapper, "/", base},
		{"by a relative path", "./nodetagger", base, base},
		{"from elsewhere", "./" + filepath.Base(base) + "/nodetagger", filepath.Dir(base), base},
		{"through a link", link, "/", other},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.Command(test.command, "h")
			cmd.Env, cmd.Dir = env, test.dir
			checkWrapper(t, cmd, test.base, "h")
		})
	}
}

func TestWrapperAndScriptsAreExecutableAndParse(t *testing.T) {
	for _, name := range append([]string{"nodetagger"}, examples.Executables...) {
		file := filepath.Join(examplesDir, name)
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o111 != 0o111 {
			t.Errorf("%s has the mode %v", file, info.Mode())
		}
		if !strings.HasPrefix(readExample(t, name), "#!/bin/sh\n") {
			t.Errorf("%s is no script for sh", file)
		}
		if out, err := exec.Command("sh", "-n", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

// settings returns the values of a key of a unit, in order.
func settings(unit, key string) []string {
	var values []string
	for line := range strings.Lines(unit) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && name == key {
			values = append(values, value)
		}
	}
	return values
}

func TestUnitsPassSystemdsOwnCheck(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"--man=no", "verify"}
	for _, unit := range units {
		text := strings.ReplaceAll(readExample(t, "systemd/"+unit), program, self)
		file := filepath.Join(dir, unit)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	cmd := exec.Command(tool, args...)
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestUnitsSayWhatTheyMust(t *testing.T) {
	for unit, want := range map[string]map[string]string{
		"etchtag.service": {"Type": "notify", "ExecReload": "/bin/kill -HUP $MAINPID", "KillMode": "mixed",
			"Restart": "always", "RestartPreventExitStatus": fmt.Sprint(exitUsage), "ExecStart": program + " run"},
		"etchtag-snapshot.service": {"Type": "oneshot", "ExecStart": program + " --quiet snapshot --lock-wait 10m"},
		"etchtag-update.service": {"Type": "oneshot", "ExecStart": program + " --quiet update",
			"SuccessExitStatus": fmt.Sprint(exitBusy)},
		"etchtag-snapshot.timer": {"OnCalendar": "hourly UTC", "Persistent": "true", "AccuracySec": "1s"},
		"etchtag-update.timer":   {"OnCalendar": "*:05/5 UTC"},
	} {
		text := readExample(t, "systemd/"+unit)
		if strings.HasSuffix(unit, ".service") {
			want["ReadWritePaths"], want["Environment"] = decide.StandardBase, "ETCHTAG_BASE="+decide.StandardBase
			want["ProtectSystem"], want["NoNewPrivileges"] = "strict", "yes"
		}
		for key, value := range want {
			if got := settings(text, key); !slices.Equal(got, []string{value}) {
				t.Errorf("%s: %s is %q, not %q", unit, key, got, value)
			}
		}
	}
}

// cronLine is one line of the crontab: when, as whom and what.
type cronLine struct {
	spec, user string
	command    []string
}

// cronLines reads the example for cron, whose other lines must be comments or set a variable.
func cronLines(t *testing.T) []cronLine {
	t.Helper()
	var lines []cronLine
	for line := range strings.Lines(readExample(t, "cron.d/etchtag")) {
		if !strings.HasSuffix(line, "\n") || strings.ContainsRune(line, '%') {
			t.Errorf("cron reads this line wrongly: %q", line)
		}
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0, fields[0][0] == '#', regexp.MustCompile(`^[A-Z_]+=\S+$`).MatchString(strings.TrimSpace(line)):
		case len(fields) < 7:
			t.Errorf("not a line of a system crontab: %q", line)
		default:
			lines = append(lines, cronLine{strings.Join(fields[:5], " "), fields[5], fields[6:]})
		}
	}
	return lines
}

func TestCronLines(t *testing.T) {
	lines := cronLines(t)
	if len(lines) != 2 {
		t.Fatalf("there are %d lines, not 2", len(lines))
	}
	fires := make(map[string][]int) // by command, the minutes
	for _, line := range lines {
		times, err := cron.ParseStandard(line.spec)
		if err != nil {
			t.Fatal(err)
		}
		if line.user != "root" || line.command[0] != program || line.command[1] != "--quiet" {
			t.Errorf("wrong user or command: %+v", line)
		}
		start := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
		for at := times.Next(start.Add(-1)); at.Before(start.Add(time.Hour)); at = times.Next(at) {
			fires[line.command[2]] = append(fires[line.command[2]], at.Minute())
		}
	}
	want := map[string][]int{"snapshot": {0}, "update": {5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55}}
	if diff := cmp.Diff(want, fires); diff != "" {
		t.Errorf("wanted (-), got (+):\n%s", diff)
	}
}

// exampleCommands are the command lines of all examples, each with the program's name first.
func exampleCommands(t *testing.T) [][]string {
	t.Helper()
	var commands [][]string
	for _, line := range cronLines(t) {
		commands = append(commands, line.command)
	}
	for _, unit := range units {
		for _, command := range settings(readExample(t, "systemd/"+unit), "ExecStart") {
			commands = append(commands, strings.Fields(command))
		}
	}
	for _, command := range commands {
		if command[0] != program {
			t.Errorf("an example calls %q, not %s", command, program)
		}
		command[0] = path.Base(program)
	}
	return commands
}

func TestInEveryExampleSnapshotWaitsForTheLock(t *testing.T) {
	snapshots := 0
	for _, command := range exampleCommands(t) {
		if !slices.Contains(command, "snapshot") {
			continue
		}
		snapshots++
		if at := slices.Index(command, "--lock-wait"); at < 0 || !slices.Equal(command[at+1:], []string{"10m"}) {
			t.Errorf("%q does not wait 10 minutes", command)
		}
	}
	if snapshots != 2 {
		t.Errorf("there are %d examples of snapshot, not 2", snapshots)
	}
}

func TestExampleCommandsAndTheirFlagsExist(t *testing.T) {
	app := new(app).cli()
	for _, command := range exampleCommands(t) {
		found := commandPath(app, command[1:])
		if len(found) == 0 {
			t.Errorf("%q names no command", command)
			continue
		}
		flags := slices.Concat(app.Flags, found[len(found)-1].Flags)
		for _, word := range command[1:] {
			if isFlag(word) && findFlag(flags, word) == nil {
				t.Errorf("%q: there is no flag %s", command, word)
			}
		}
	}
}
