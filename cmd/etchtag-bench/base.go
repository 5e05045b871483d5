package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// base is an etch server's base that etchtag works in.
type base struct {
	b   *bench
	dir string
}

// newBase makes a base with a configuration and, if that names an upstream, a working copy.
func (b *bench) newBase(ctx context.Context, dir, config string) (*base, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "etchtag.yml"), []byte(config), 0o644); err != nil {
		return nil, err
	}
	x := &base{b, dir}
	return x, b.quietly(ctx, x.command("init"))
}

// configure changes the configuration that init has written.
func (x *base) configure(old, fresh string) error {
	file := filepath.Join(x.dir, "etchtag.yml")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !bytes.Contains(text, []byte(old)) {
		return fmt.Errorf("%s does not say %q", file, old)
	}
	return os.WriteFile(file, bytes.Replace(text, []byte(old), []byte(fresh), 1), 0o644)
}

// workingCopy is a configuration that names the upstream; more follows it.
func workingCopy(url, more string) string {
	return "working_copy: {kind: git, url: '" + url + "'}\n" + more
}

// command is a command line of etchtag.
func (x *base) command(words ...string) []string {
	return append([]string{x.b.etchtag(), "--quiet", "--base", x.dir}, words...)
}

// hour is the time of the tag with that number.
func hour(n int) time.Time {
	return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Hour)
}

func tagName(n int) string { return "etchautotag-" + hour(n).Format("20060102-1504") }

// hourly is the command that updates the working copy and makes the tag with that number.
func (x *base) hourly(n int) []string {
	return x.command("snapshot", "--no-prune", "--rehearse", hour(n).Format(time.RFC3339))
}

// snapshot is the command that makes the tag with that number of what was fetched before, as git archive does.
func (x *base) snapshot(n int) []string { return append(x.hourly(n), "--no-update") }

func (x *base) trunk() string    { return filepath.Join(x.dir, "trunk") }
func (x *base) tags() string     { return filepath.Join(x.dir, "tags") }
func (x *base) tag(n int) string { return filepath.Join(x.tags(), tagName(n)) }
func (x *base) manifest(n int) string {
	return filepath.Join(x.tags(), ".etchtag/manifests", tagName(n))
}
func (x *base) table(n int) string { return filepath.Join(x.tags(), ".etchtag/tables", tagName(n)) }

// removeTag removes a tag with its records, as if it had never been made.
func (x *base) removeTag(n int) error {
	for _, path := range []string{x.tag(n), x.manifest(n), x.table(n)} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}
