// Package config reads etchtag.yml: what may stand there, and where in the file a mistake is.
//
// A file that has one mistake is refused as a whole, with all its mistakes, each with its line and its key, so
// that nothing runs on half a configuration. The package knows no command: others build from what it returns.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/etch/etchtag/examples"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"go.yaml.in/yaml/v3"
)

// Config is what BASE/etchtag.yml says. The comments in examples/etchtag.yml explain every key.
type Config struct {
	WorkingCopy WorkingCopy
	Tags        Tags
	Tagstate    []string // relative to the base
	Schedule    Schedule
	ServerUser  string
	Inventory   []Inventory
	CacheDir    string // where the etch server's user keeps the answers of inventories
	Rings       tagging.Rings
}

// Tags says how tags are made and how long they stay.
type Tags struct {
	Every time.Duration // always one that tagging.NewCadence accepts
	Files string        // "auto" or "hardlink"
	Check []string      // a command and its arguments; empty for none
	Keep  Keep
}

// Keep says which tags prune leaves alone in any case.
type Keep struct {
	Within time.Duration
	Last   int
}

// Schedule holds cron expressions with five fields, in UTC.
type Schedule struct {
	Update   string
	Snapshot string
}

// Default is what holds without a file.
func Default() Config {
	return Config{
		WorkingCopy: WorkingCopy{Path: "trunk", Kind: "auto", Timeout: 5 * time.Minute},
		Tags: Tags{
			Every: time.Hour,
			Files: "auto",
			Keep:  Keep{Within: 72 * time.Hour, Last: 72},
		},
		Tagstate:   []string{"trunk/tagstate", "tagstate"},
		Schedule:   Schedule{Update: "*/5 * * * *", Snapshot: "0 * * * *"},
		ServerUser: "nobody",
		Inventory:  []Inventory{{Kind: "etch", From: "settled"}},
		CacheDir:   "/var/cache/etchtag",
		Rings:      tagging.DefaultRings(),
	}
}

// Cadence is how often a tag is made.
func (c *Config) Cadence() tag.Cadence {
	cadence, err := tag.NewCadence(c.Tags.Every)
	if err != nil {
		panic(err) // it was checked when the configuration was read
	}
	return cadence
}

// Render is the commented configuration that init writes, with the defaults and what w says of upstream.
func Render(w WorkingCopy) []byte {
	text := examples.Config
	for _, line := range []struct{ key, standard, value string }{
		{"kind", "auto", w.Kind},
		{"url", `""`, quoteYAML(w.URL)},
		{"branch", `""`, quoteYAML(w.Branch)},
		{"module", `""`, quoteYAML(w.Module)},
	} {
		text = bytes.Replace(text, []byte("\n  "+line.key+": "+line.standard+"\n"), []byte("\n  "+line.key+": "+line.value+"\n"), 1)
	}
	return text
}

// quoteYAML writes text, which must be UTF-8, as a double-quoted scalar: every escape that Go writes then
// means the same in YAML.
func quoteYAML(text string) string { return strconv.Quote(text) }

// Cron says what is wrong with a cron expression. Their grammar is the scheduler's, which not every program has.
type Cron func(expression string) error

// fields are the grammar of the whole file. A mapping changes what it names and leaves the rest at its
// default; a list replaces the default list.
func (c *Config) fields(cron Cron) []field {
	return []field{
		{"working_copy", c.WorkingCopy.read},
		{"tags", func(v value) { v.mapping(c.Tags.fields()...) }},
		{"tagstate", c.readTagstate},
		{"schedule", func(v value) { c.Schedule.read(v, cron) }},
		{"server_user", readText(&c.ServerUser, checkUserName)},
		{"inventory", c.readInventory},
		{"cache_dir", readText(&c.CacheDir, checkAbsolute)},
		{"rings", c.readRings},
	}
}

func (t *Tags) fields() []field {
	return []field{
		{"every", readDuration(&t.Every, checkCadence)},
		{"files", readText(&t.Files, checkOneOf("auto", "hardlink"))},
		{"check", t.readCheck},
		{"keep", t.Keep.read},
	}
}

func (t *Tags) readCheck(v value) {
	readTexts(&t.Check, checkPrintable)(v)
	if len(t.Check) > 0 && t.Check[0] == "" {
		v.fail("names no command: its first word is empty")
	}
}

func (k *Keep) read(v value) {
	v.mapping(
		field{"within", readDuration(&k.Within, checkPositive)},
		field{"last", readCount(&k.Last)},
	)
}

func (c *Config) readTagstate(v value) {
	if v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0 {
		v.fail("names no file: there would be none to mark a tag bad in")
		return
	}
	readTexts(&c.Tagstate, checkInsideBase)(v)
	for i := range c.Tagstate {
		c.Tagstate[i] = filepath.Clean(c.Tagstate[i])
		if slices.Contains(c.Tagstate[:i], c.Tagstate[i]) {
			v.fail("names %q twice", c.Tagstate[i])
		}
	}
}

func (s *Schedule) read(v value, cron Cron) {
	v.mapping(
		field{"update", readText(&s.Update, cron)},
		field{"snapshot", readText(&s.Snapshot, cron)},
	)
}

func (c *Config) readRings(v value) {
	var rings tagging.Rings
	var items []value
	broken := make(map[int]bool)
	if !v.list(func(item value) {
		before := v.problems.count()
		items, rings = append(items, item), append(rings, readRing(item))
		broken[len(rings)-1] = v.problems.count() > before
	}) {
		return
	}
	c.Rings = rings
	for _, err := range splitErrors(rings.Validate()) {
		var wrong *tagging.RingError
		switch {
		case !errors.As(err, &wrong):
			v.check(err)
		case !broken[wrong.Index]: // else it may only follow from what was reported already
			at, _ := items[wrong.Index].at(wrong.Key)
			at.fail("%s", wrong.Problem)
		}
	}
}

func readRing(v value) tagging.Ring {
	var r tagging.Ring
	var require string
	v.mapping(
		field{"name", readText(&r.Name, checkPrintable)},
		field{"delay", readDuration(&r.Delay, checkNotNegative)},
		field{"groups", readTexts(&r.Groups, checkPrintable)},
		field{"hosts", readTexts(&r.Hosts, checkPrintable)},
		field{"percent", readPercent(&r.Percent, &r.HasPercent)},
		field{"require", readText(&require, checkOneOf("good"))},
	)
	v.require("name", "delay")
	r.RequireGood = require == "good"
	return r
}

// splitErrors undoes errors.Join.
func splitErrors(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// checkOneOf accepts the words that a key may have.
func checkOneOf(words ...string) func(string) error {
	return func(s string) error {
		if slices.Contains(words, s) {
			return nil
		}
		return fmt.Errorf("must be %s, not %q", oneOf(words), s)
	}
}

// oneOf lists words of which one is to be chosen.
func oneOf(words []string) string {
	last := len(words) - 1
	if last <= 0 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func checkCadence(d time.Duration) error {
	_, err := tag.NewCadence(d)
	return err
}

func checkPositive(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("must be longer than 0, not %s", d)
	}
	return nil
}

func checkNotNegative(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("must not be negative, as %s is", d)
	}
	return nil
}

// checkPrintable refuses what no name or path has, and what would garble a message or a terminal.
func checkPrintable(s string) error {
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		return fmt.Errorf("must not hold control characters such as %q", s[i:i+1])
	}
	return nil
}

func checkUserName(s string) error {
	if s == "" || strings.ContainsAny(s, " \t:/") {
		return fmt.Errorf("%q is not the name of a user", s)
	}
	return checkPrintable(s)
}

// checkInsideBase accepts a path below the base.
func checkInsideBase(path string) error {
	switch {
	case path == "":
		return errors.New("must not be empty")
	case filepath.IsAbs(path):
		return fmt.Errorf("%q must be relative to the base", path)
	case !filepath.IsLocal(path):
		return fmt.Errorf("%q leads out of the base", path)
	case filepath.Clean(path) == ".":
		return errors.New("must not be the base itself")
	}
	return checkPrintable(path)
}

// checkAbsolute accepts the path of a directory that does not belong to the base.
func checkAbsolute(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%q must begin with a slash", path)
	}
	return checkPrintable(path)
}

func checkWorkingCopyPath(path string) error {
	if first, _, _ := strings.Cut(filepath.Clean(path), "/"); first == "tags" {
		return fmt.Errorf("%q must not be in the directory of the tags", path)
	}
	return checkInsideBase(path)
}

// checkFilePath accepts a path below the base, and absolute ones.
func checkFilePath(path string) error {
	switch {
	case strings.HasPrefix(path, "~"):
		return fmt.Errorf("the ~ of %q has no meaning here: write the whole path", path)
	case filepath.IsAbs(path):
		return checkPrintable(path)
	}
	return checkInsideBase(path)
}

func checkOptionalFile(path string) error {
	if path == "" {
		return nil
	}
	return checkFilePath(path)
}
