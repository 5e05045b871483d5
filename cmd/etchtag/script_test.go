package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/urfave/cli/v2"
)

// TestMain lets the scripts run the program under each of its names, and the fault tests kill it on its way.
func TestMain(m *testing.M) {
	for _, shared := range []*cli.Flag{&cli.HelpFlag, &cli.VersionFlag} {
		*shared = sharedFlag{(*shared).(*cli.BoolFlag)}
	}
	line := slices.Clone(os.Args) // testscript is about to cut the directory off the first word
	program := func() {
		end := stepOf(os.Getenv(dieAtVariable))
		a := app{stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, now: time.Now, step: dieAt(end), own: true}
		code := a.run(line)
		if end == stepAtEnd {
			die()
		}
		os.Exit(code)
	}
	testscript.Main(runtest.Runner{M: m}, map[string]func(){"etchtag": program, "nodetagger": program, "repo_update": program})
}

// sharedFlag is a flag of the library's that all programs of a process share. Its own notes in itself that it was given:
// tests run several programs side by side.
type sharedFlag struct{ *cli.BoolFlag }

func (f sharedFlag) Apply(set *flag.FlagSet) error {
	own := *f.BoolFlag
	return own.Apply(set)
}

// TestScripts plays the stories in testdata/script. Each begins in an empty directory with an upstream
// repository UP that has two commits, tagged one and two, and nothing else.
func TestScripts(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"svn", "cvs", "git"} { // scripts that need the others skip themselves
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatal(program + " is not installed")
		}
		if program == "git" {
			t.Skip("git is not installed")
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("ETCHTAG_BASE", filepath.Join(e.WorkDir, "base"))
			e.Setenv("BASE", filepath.Join(e.WorkDir, "base"))
			e.Setenv("UP", filepath.Join(e.WorkDir, "up"))
			e.Setenv("HOME", e.WorkDir)
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				e.Setenv("GIT_"+who+"_NAME", "A")
				e.Setenv("GIT_"+who+"_EMAIL", "a@example.com")
				e.Setenv("GIT_"+who+"_DATE", "2026-11-20T12:00:00Z")
			}
			return makeUpstream(filepath.Join(e.WorkDir, "up"), e.Vars)
		},
	})
}

func makeUpstream(dir string, env []string) error {
	cmd := exec.Command("sh", "-ec", `
git init -q -b main "$0"; cd "$0"
cat >nodes.yml <<'.'
dev1.example.com: [dev]
qa1.example.com: [qa]
stg1.example.com: [stg]
prod1.example.com: [web]
.
echo 'web: [dev, qa, stg]' >nodegroups.yml
echo 'a: 1' >defaults.yml
printf '#!/bin/sh\n' >nodegrouper; chmod +x nodegrouper
mkdir -p source/etc; echo one >source/etc/motd; ln -s motd source/etc/link
git add -A; git commit -qm one; git tag one
echo two >source/etc/motd; git commit -qam two; git tag two`, dir)
	cmd.Env = env
	cmd.Stderr = os.Stderr
	return cmd.Run()
}
