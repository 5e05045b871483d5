package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/etch/etchtag/examples"
	"github.com/etch/etchtag/schedule"
	"github.com/etch/etchtag/tagging"
	"go.yaml.in/yaml/v3"
)

// config is what BASE/etchtag.yml says. The comments in examples/etchtag.yml explain every key.
type config struct {
	WorkingCopy workingCopyConfig
	Tags        tagsConfig
	Tagstate    []string // relative to the base
	Schedule    scheduleConfig
	ServerUser  string
	Inventory   []inventoryConfig
	Rings       tagging.Rings
}

// workingCopyConfig says where the configuration comes from.
type workingCopyConfig struct {
	Path    string // relative to the base
	Kind    string // "auto" or "git"
	URL     string // may hold a password: never print it
	Branch  string // empty for upstream's default branch
	Timeout time.Duration
	Auth    authConfig
}

// authConfig holds names of files, never secrets. Relative paths start at the base.
type authConfig struct {
	SSHKey       string
	KnownHosts   string
	Username     string
	PasswordFile string
	TokenFile    string
	CAFile       string
}

// tagsConfig says how tags are made and how long they stay.
type tagsConfig struct {
	Every time.Duration // always one that tagging.NewCadence accepts
	Files string        // "auto" or "hardlink"
	Check []string      // a command and its arguments; empty for none
	Keep  keepConfig
}

// keepConfig says which tags prune leaves alone in any case.
type keepConfig struct {
	Within time.Duration
	Last   int
}

// scheduleConfig holds cron expressions with five fields, in UTC.
type scheduleConfig struct {
	Update   string
	Snapshot string
}

// inventoryConfig is one place that says which groups a host is in.
type inventoryConfig struct {
	Kind string // "etch" or "file"
	Path string // of a file; a relative one starts at the base
	From string // of etch: "settled" or "trunk"
}

// defaultConfig is what holds without a file.
func defaultConfig() config {
	return config{
		WorkingCopy: workingCopyConfig{Path: "trunk", Kind: "auto", Timeout: 5 * time.Minute},
		Tags: tagsConfig{
			Every: time.Hour,
			Files: "auto",
			Keep:  keepConfig{Within: 72 * time.Hour, Last: 72},
		},
		Tagstate:   []string{"trunk/tagstate", "tagstate"},
		Schedule:   scheduleConfig{Update: "*/5 * * * *", Snapshot: "0 * * * *"},
		ServerUser: "nobody",
		Inventory:  []inventoryConfig{{Kind: "etch", From: "settled"}},
		Rings:      tagging.DefaultRings(),
	}
}

// cadence is how often a tag is made.
func (c *config) cadence() tagging.Cadence {
	cadence, err := tagging.NewCadence(c.Tags.Every)
	if err != nil {
		panic(err) // it was checked when the configuration was read
	}
	return cadence
}

// renderConfig is the commented configuration that init writes, with the defaults and this upstream.
func renderConfig(url, branch string) []byte {
	text := bytes.Replace(examples.Config, []byte("\n  url: \"\"\n"), []byte("\n  url: "+quoteYAML(url)+"\n"), 1)
	return bytes.Replace(text, []byte("\n  branch: \"\"\n"), []byte("\n  branch: "+quoteYAML(branch)+"\n"), 1)
}

// quoteYAML writes text, which must be UTF-8, as a double-quoted scalar: every escape that Go writes then
// means the same in YAML.
func quoteYAML(text string) string { return strconv.Quote(text) }

// read is the grammar of the whole file. A mapping changes what it names and leaves the rest at its
// default; a list replaces the default list.
func (c *config) read(v configValue) {
	v.mapping(
		configKey{"working_copy", c.WorkingCopy.read},
		configKey{"tags", c.Tags.read},
		configKey{"tagstate", c.readTagstate},
		configKey{"schedule", c.Schedule.read},
		configKey{"server_user", readText(&c.ServerUser, checkUserName)},
		configKey{"inventory", c.readInventory},
		configKey{"rings", c.readRings},
	)
}

func (w *workingCopyConfig) read(v configValue) {
	v.mapping(
		configKey{"path", readText(&w.Path, checkWorkingCopyPath)},
		configKey{"kind", readText(&w.Kind, checkKind)},
		configKey{"url", readText(&w.URL, checkURL)},
		configKey{"branch", readText(&w.Branch, checkBranch)},
		configKey{"timeout", readDuration(&w.Timeout, checkPositive)},
		configKey{"auth", w.Auth.read},
	)
	w.Path = filepath.Clean(w.Path)
}

func (a *authConfig) read(v configValue) {
	v.mapping(
		configKey{"ssh_key", readText(&a.SSHKey, checkOptionalFile)},
		configKey{"known_hosts", readText(&a.KnownHosts, checkOptionalFile)},
		configKey{"username", readText(&a.Username, checkPrintable)},
		configKey{"password_file", readText(&a.PasswordFile, checkOptionalFile)},
		configKey{"token_file", readText(&a.TokenFile, checkOptionalFile)},
		configKey{"ca_file", readText(&a.CAFile, checkOptionalFile)},
	)
	if a.PasswordFile != "" && a.TokenFile != "" {
		v.fail("has both password_file and token_file: a server gets one or the other")
	}
}

func (t *tagsConfig) read(v configValue) {
	v.mapping(
		configKey{"every", readDuration(&t.Every, checkCadence)},
		configKey{"files", readText(&t.Files, checkOneOf("auto", "hardlink"))},
		configKey{"check", t.readCheck},
		configKey{"keep", t.Keep.read},
	)
}

func (t *tagsConfig) readCheck(v configValue) {
	readTexts(&t.Check, checkPrintable)(v)
	if len(t.Check) > 0 && t.Check[0] == "" {
		v.fail("names no command: its first word is empty")
	}
}

func (k *keepConfig) read(v configValue) {
	v.mapping(
		configKey{"within", readDuration(&k.Within, checkPositive)},
		configKey{"last", readCount(&k.Last)},
	)
}

func (c *config) readTagstate(v configValue) {
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

func (s *scheduleConfig) read(v configValue) {
	v.mapping(
		configKey{"update", readText(&s.Update, schedule.ParseSpec)},
		configKey{"snapshot", readText(&s.Snapshot, schedule.ParseSpec)},
	)
}

func (c *config) readInventory(v configValue) {
	var inventories []inventoryConfig
	if v.list(func(item configValue) {
		var i inventoryConfig
		i.read(item)
		inventories = append(inventories, i)
	}) {
		c.Inventory = inventories
	}
}

func (i *inventoryConfig) read(v configValue) {
	v.mapping(
		configKey{"kind", readText(&i.Kind, checkInventoryKind)},
		configKey{"path", readText(&i.Path, checkFilePath)},
		configKey{"from", readText(&i.From, checkOneOf("settled", "trunk"))},
	)
	v.require("kind")
	switch i.Kind {
	case "etch":
		v.refuse("path", "is for inventories of kind file: etch's own files have fixed names")
		if i.From == "" {
			i.From = "settled"
		}
	case "file":
		v.require("path")
		v.refuse("from", "is for inventories of kind etch: a file is read as it is")
	}
}

func (c *config) readRings(v configValue) {
	var rings tagging.Rings
	var items []configValue
	broken := make(map[int]bool)
	if !v.list(func(item configValue) {
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

func readRing(v configValue) tagging.Ring {
	var r tagging.Ring
	var require string
	v.mapping(
		configKey{"name", readText(&r.Name, checkPrintable)},
		configKey{"delay", readDuration(&r.Delay, checkNotNegative)},
		configKey{"groups", readTexts(&r.Groups, checkPrintable)},
		configKey{"hosts", readTexts(&r.Hosts, checkPrintable)},
		configKey{"percent", readPercent(&r.Percent, &r.HasPercent)},
		configKey{"require", readText(&require, checkOneOf("good"))},
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
		return fmt.Errorf("must be %s, not %q", strings.Join(words, " or "), s)
	}
}

func checkKind(s string) error {
	switch s {
	case "svn", "cvs", "dir":
		return fmt.Errorf("this version supports only git, not %s", s)
	}
	return checkOneOf("auto", "git")(s)
}

func checkInventoryKind(s string) error {
	switch s {
	case "nodegrouper", "nventory", "command":
		return fmt.Errorf("this version does not have the inventory %s yet, only etch and file", s)
	}
	return checkOneOf("etch", "file")(s)
}

func checkCadence(d time.Duration) error {
	_, err := tagging.NewCadence(d)
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

// checkURL refuses what cannot be a git repository. Its errors never quote the URL, which may hold
// a password.
func checkURL(s string) error {
	if err := checkPrintable(s); err != nil {
		return err
	}
	if s != strings.TrimSpace(s) {
		return errors.New("must not begin or end with blanks")
	}
	scheme, _, found := strings.Cut(s, "://")
	if !found || scheme == "file" {
		return nil // empty, a path, or HOST:PATH
	}
	if !slices.Contains([]string{"https", "http", "ssh", "git+ssh", "ssh+git", "git"}, scheme) {
		return fmt.Errorf("the scheme %q is none of https, http, ssh, git and file", scheme)
	}
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("cannot be parsed as a URL: are the special characters in its user and password escaped?")
	}
	if u.Host == "" {
		return errors.New("names no host")
	}
	return nil
}

// checkBranch accepts what git does, see git-check-ref-format(1), and nothing for upstream's default.
func checkBranch(s string) error {
	bad := strings.ContainsAny(s, " ~^:?*[\\") || strings.Contains(s, "..") || strings.Contains(s, "@{") ||
		strings.Contains(s, "//") || strings.Contains("/"+s, "/.") || strings.Contains(s+"/", ".lock/") ||
		strings.HasPrefix(s, "-") || strings.HasPrefix(s, "/") ||
		strings.HasSuffix(s, "/") || strings.HasSuffix(s, ".") || s == "@"
	if bad {
		return fmt.Errorf("%q is not the name of a branch", s)
	}
	return checkPrintable(s)
}
