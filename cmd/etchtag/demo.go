package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/cmd/internal/demorepo"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/examples"
	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/urfave/cli/v2"
)

func (a *app) demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "live through two bad commits in a temporary directory",
		Description: "Makes a repository from a sample configuration, and a base, and runs the real commands through a\n" +
			"simulated day. With --keep the directory stays, to try other commands in.\n\n" +
			"Example:\n   etchtag demo --keep",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "keep", Usage: "leave the directory behind"}},
		Action: func(c *cli.Context) (err error) {
			if err := needArgs(c, 0, 0); err != nil {
				return err
			}
			dir, err := disk.MakeTemp("", "etchtag-demo-")
			if err != nil {
				return err
			}
			d := &demo{app: a, dir: dir, colour: a.colours(a.stdout), now: demoStart}
			defer func() {
				if c.Bool("keep") {
					fmt.Fprintf(a.stdout, "\nThe base is %s; try for example:\n  etchtag --base %s list --at %s\n",
						d.base(), d.base(), d.now.Format(time.RFC3339))
					return
				}
				err = errors.Join(err, disk.RemovePath(dir))
			}()
			return d.tell()
		},
	}
}

// demoStart is the hour of the first tag.
var demoStart = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

// demo is a day in the life of a base.
type demo struct {
	*app
	dir    string
	colour bool
	now    time.Time
	repo   *demorepo.Repository
}

func (d *demo) base() string     { return filepath.Join(d.dir, "etchserver") }
func (d *demo) upstream() string { return filepath.Join(d.dir, "upstream") }

// scene is one step of the story.
type scene struct {
	says string
	do   func() error
}

// tell plays the story. Each scene says what happens and then does it.
func (d *demo) tell() error {
	for _, s := range []scene{
		{"A repository with a sample etch configuration, and an empty base that follows it.", d.begin},
		{"Seven hours pass. Every hour a commit comes in and the hour's tag is made. The table shows which " +
			"hour's tag each ring gets.", d.sevenHours},
		{"The commit of 10:20 broke ntp. It reached dev at 11:00 and QA at 12:00, and at 12:10 somebody notices. " +
			"First, everything is stopped.", d.stopEverything},
		{"Then the tags that have the commit are marked bad. Rings that had one roll back; the others never get it.",
			d.markBad},
		{"The mistake is mended at 12:30. The fix goes out ring by ring, as any other commit does.", d.mend},
		{"Another mistake: a file that is new at 17:20 is wrong. To roll back would not help those who have it, because " +
			"older tags know nothing of the file and would leave it where it is. It is mended at 19:20.", d.newFile},
		{"So the tags with the wrong file are marked badfwd: rings that would get one go forward to the fix at once.",
			d.markBadFwd},
		{"Production, four hours behind, steps over the wrong tags when it comes to them.", d.goOn},
		{"For any host, etchtag explain shows why it gets what it gets.", func() error {
			return d.command("explain", "prod1.example.com", "--at", d.now.Format(time.RFC3339))
		}},
	} {
		fmt.Fprintf(d.stdout, "\n%s\n\n", term.Paint(d.colour, term.Bold, s.says))
		if err := s.do(); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) begin() error {
	if err := copySampleTree(d.upstream()); err != nil {
		return err
	}
	repo, err := demorepo.New(d.upstream())
	if err != nil {
		return err
	}
	d.repo = repo
	if err := d.repo.Commit("the configuration as it is", d.now); err != nil {
		return err
	}
	return d.command("init", "--url", d.upstream())
}

func (d *demo) sevenHours() error {
	d.now = demoStart.Add(-40 * time.Minute)
	return d.hours(7, func(hour int) error {
		if hour == 5 {
			return d.change("source/etc/ntp.conf/ntp.conf", "server nowhere.example.com\n")
		}
		return d.change("source/etc/motd/motd", fmt.Sprintf("Welcome. This is change number %d.\n", hour))
	})
}

func (d *demo) stopEverything() error {
	d.now = d.now.Add(10 * time.Minute)
	return d.command("killswitch", "on", "a bad commit is out; back in ten minutes")
}

func (d *demo) markBad() error {
	if err := d.command("mark", "bad", "--from", "etchautotag-20261122-1100", "--to", "etchautotag-20261122-1200",
		"--reason", "breaks ntp"); err != nil {
		return err
	}
	return d.command("killswitch", "off")
}

func (d *demo) mend() error {
	d.now = d.now.Add(20 * time.Minute)
	if err := d.change("source/etc/ntp.conf/ntp.conf", "server ntp.example.com\n"); err != nil {
		return err
	}
	return d.hours(5, nil)
}

func (d *demo) newFile() error {
	const file = "source/etc/resolv.conf/resolv.conf"
	return d.hours(3, func(hour int) error {
		switch hour {
		case 0:
			return d.change(file, "nameserver 10.0.0.350\n")
		case 2:
			return d.change(file, "nameserver 10.0.0.35\n")
		}
		return nil
	})
}

func (d *demo) markBadFwd() error {
	d.now = d.now.Add(10 * time.Minute)
	return d.command("mark", "badfwd", "--from", "etchautotag-20261122-1800", "--to", "etchautotag-20261122-1900",
		"--reason", "resolv.conf has no such address")
}

func (d *demo) goOn() error { return d.hours(3, nil) }

// hours lets n full hours pass, makes the tag of each, and prints what each ring gets then. Twenty minutes into
// each, meanwhile is called, if there is something to do.
func (d *demo) hours(n int, meanwhile func(hour int) error) error {
	for hour := range n {
		full := d.now.Truncate(time.Hour).Add(time.Hour)
		if meanwhile != nil {
			d.now = full.Add(-40 * time.Minute)
			if err := meanwhile(hour); err != nil {
				return err
			}
		}
		d.now = full
		if err := d.quietly("snapshot", "--rehearse", d.now.Format(time.RFC3339)); err != nil {
			return err
		}
		if err := d.printRings(hour == 0); err != nil {
			return err
		}
	}
	return nil
}

// printRings prints one line of the table: the hour whose tag each ring gets.
func (d *demo) printRings(first bool) error {
	s, err := d.openSite(d.base(), "", configOptional)
	if err != nil {
		return err
	}
	hosts, err := s.Hosts(d.now)
	if err != nil {
		return err
	}
	head, line := "  at   ", "  "+d.now.Format("15:04")
	for _, ring := range hosts.Rings {
		gets := "-"
		if decision := hosts.RingTag(ring); decision.Failure == "" {
			t, err := tag.ParseName(decision.Tag())
			if err != nil {
				return err
			}
			gets = t.Format("15:04")
		}
		head += fmt.Sprintf("  %-10s", ring.Name)
		line += fmt.Sprintf("  %-10s", gets)
	}
	head, line = strings.TrimRight(head, " "), strings.TrimRight(line, " ")
	if first {
		fmt.Fprintln(d.stdout, term.Paint(d.colour, term.Dim, head))
	}
	_, err = fmt.Fprintln(d.stdout, line)
	return err
}

// command runs one of the program's own commands at the story's time, and shows it.
func (d *demo) command(words ...string) error {
	fmt.Fprintf(d.stdout, "$ etchtag %s\n", shellWords(words))
	return d.etchtag(d.stdout, words)
}

// shellWords writes a command line so that it can be pasted into a shell.
func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if quoted[i] = w; strings.ContainsAny(w, " ;") {
			quoted[i] = "'" + w + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// quietly runs a command without showing it, unless it fails.
func (d *demo) quietly(words ...string) error { return d.etchtag(io.Discard, words) }

func (d *demo) etchtag(stdout io.Writer, words []string) error {
	var stderr bytes.Buffer
	sub := app{stdout: stdout, stderr: &stderr, getenv: d.getenv, now: func() time.Time { return d.now }}
	line := append([]string{"etchtag", "--base", d.base()}, words...)
	if code := sub.run(line); code != exitDone {
		return fmt.Errorf("etchtag %s: exit status %d: %s", strings.Join(words, " "), code, &stderr)
	}
	return nil
}

// change writes a file of the upstream repository and commits it.
func (d *demo) change(file, text string) error {
	path := filepath.Join(d.upstream(), file)
	if err := disk.MakeAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := disk.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	return d.repo.Commit("change "+file, d.now)
}

// copySampleTree writes the sample configuration into a new directory.
func copySampleTree(to string) error {
	return fs.WalkDir(examples.Tree, "tree", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, "tree"))
		if e.IsDir() {
			return disk.MakeAll(target, 0o755)
		}
		data, err := examples.Tree.ReadFile(path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if slices.Contains(examples.Executables, path) {
			mode = 0o755
		}
		return disk.WriteFile(target, data, mode)
	})
}
