package cvs

import (
	"bytes"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/testbed"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func TestParseCVSRoot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ raw, want, place string }{
		{"/srv/cvs", "/srv/cvs", ":/srv/cvs"},
		{":local:/srv/cvs/", "/srv/cvs", ":/srv/cvs"},
		{":fork:/srv/cvs", ":fork:/srv/cvs", ":/srv/cvs"},
		{"host:/srv/cvs", ":ext:host:/srv/cvs", "host:/srv/cvs"},
		{"me@Host:/srv/cvs", ":ext:me@Host:/srv/cvs", "host:/srv/cvs"},
		{":ext:me@host:2222/srv/cvs", ":ext:me@host:/srv/cvs", "host:2222/srv/cvs"},
		{":ext:host/srv//cvs", ":ext:host:/srv/cvs", "host:/srv/cvs"},
		{":pserver:me@host:/srv/cvs", ":pserver:me@host:/srv/cvs", "host:/srv/cvs"},
		{":pserver:me:pw@host:2401/srv/cvs", ":pserver:me@host:2401/srv/cvs", "host:/srv/cvs"},
		{":pserver;proxy=p:me@host:/srv/cvs", ":pserver;proxy=p:me@host:/srv/cvs", "host:/srv/cvs"},
	} {
		r, err := parseCVSRoot(test.raw)
		if err != nil || r.String() != test.want || r.place() != test.place {
			t.Errorf("%q: %q, %q, %v, want %q, %q", test.raw, r.String(), r.place(), err, test.want, test.place)
		}
	}
	for _, raw := range []string{"", "srv/cvs", ":local:", ":pserver:/srv/cvs", ":gserver:host:/x", ":ext:-oProxy=x:/y",
		":ext:-x@host:/y", ":local:host:/x", ":pserver:me@host:port/x", "host:/a\nb", ":pserver:me:s3cr3t@:/x"} {
		r, err := parseCVSRoot(raw)
		if err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: %+v, %v", raw, r, err)
		}
	}
}

func TestParseCVSEntries(t *testing.T) {
	t.Parallel()
	const date = "Wed Jan  1 00:01:00 2020"
	for name, test := range map[string]struct {
		entries, log string
		files        []entry
		dirs         []string
	}{
		"none":        {"", "", nil, nil},
		"no dirs":     {"D\n", "", nil, nil},
		"file":        {"/a b/1.2/" + date + "//\nD\n", "", []entry{{"d/a b", "1.2", date, "", ""}}, nil},
		"binary":      {"/a/1.2/" + date + "/-kb/\n", "", []entry{{"d/a", "1.2", date, "-kb", ""}}, nil},
		"sticky":      {"/a/1.2/" + date + "//Tstable\n", "", []entry{{"d/a", "1.2", date, "", "Tstable"}}, nil},
		"directory":   {"D/sub////\n", "", nil, []string{"sub"}},
		"log adds":    {"D\n", "A /a/1.1/x//\nA D/sub////\n", []entry{{"d/a", "1.1", "x", "", ""}}, []string{"sub"}},
		"log removes": {"/a/1.1/x//\nD/sub////\n", "R /a/1.1/x//\nR D/sub////\n", nil, nil},
		"log unknown": {"/a/1.1/x//\n", "X /b/1.1/x//\n", []entry{{"d/a", "1.1", "x", "", ""}}, nil},
	} {
		e := dirEntries{dir: "d"}
		if err := e.parse(test.entries, false); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := e.parse(test.log, true); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(e.files) != len(test.files) || len(e.dirs) != len(test.dirs) {
			t.Errorf("%s: %v, %v", name, e.files, e.dirs)
		}
		for _, want := range test.files {
			if got := e.files[strings.TrimPrefix(want.path, "d/")]; got != want {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
		}
		for _, want := range test.dirs {
			if !e.dirs[want] {
				t.Errorf("%s: no directory %q", name, want)
			}
		}
	}
	for _, bad := range []string{"x", "/a/1.1", "/a/b/1.1/x//", "/../1.1/x//", "//1.1/x//", "D/..////", "D/CVS////", "/./1/x//"} {
		if err := (&dirEntries{}).parse(bad+"\n", false); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzCVSEntries(f *testing.F) {
	f.Add("/a/1.2/Wed Jan  1 00:01:00 2020/-kb/Ttag\nD/sub////\nD\n", "A /b/1.1/x//\nR /a/1.2/x//\n")
	f.Add("/../1.1/x//\n", "")
	f.Add("D/a/b////\r\n", "A D/\n")
	f.Fuzz(func(t *testing.T, entries, log string) {
		e := dirEntries{dir: "d"}
		if e.parse(entries, false) != nil || e.parse(log, true) != nil {
			return
		}
		for name := range e.dirs {
			if strings.Contains(name, "/") || name == "" || name == "." || name == ".." {
				t.Errorf("a directory %q", name)
			}
		}
		again := dirEntries{dir: "d"}
		var lines strings.Builder
		for name, file := range e.files {
			if file.path != "d/"+name {
				t.Errorf("%q stands at %q", name, file.path)
			}
			lines.WriteString(file.line() + "\n")
		}
		if err := again.parse(lines.String(), false); err != nil || len(e.files) > 0 && !reflect.DeepEqual(again.files, e.files) {
			t.Errorf("%v, %v, want %v", again.files, err, e.files)
		}
	})
}

const cvsLogSample = `
RCS file: /srv/cvs/m/a,v
head: 1.2
----------------------------
revision 1.2
date: 2020-01-01 00:02:00 +0000;  author: me;  state: Exp;  lines: +1 -1;
date: 2031-01-01 00:00:00 +0000;
revision 9.9
----------------------------
revision 1.1
date: 2020/01/01 00:01:00;  author: me;  state: Exp;
first
=============================================================================
`

func TestNewestLogDate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		log  string
		want time.Time
	}{
		"empty":     {"", time.Time{}},
		"no change": {"RCS file: /x,v\nhead: 1.1\n====\n", time.Time{}},
		"two":       {cvsLogSample, time.Date(2020, 1, 1, 0, 2, 0, 0, time.UTC)},
		"zone": {"----------------------------\nrevision 1.1\ndate: 2020-01-01 02:00:00 +0200;  x\n",
			time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if date, err := newestLogDate(test.log); err != nil || !date.Equal(test.want) {
			t.Errorf("%s: %v, %v, want %v", name, date, err, test.want)
		}
	}
	if date, err := newestLogDate("----------------------------\nrevision 1.1\ndate: yesterday;\n"); err == nil {
		t.Errorf("yesterday is %v", date)
	}
}

func FuzzCVSLog(f *testing.F) {
	f.Add(cvsLogSample)
	f.Add("----------------------------\nrevision 1.1\ndate: x")
	f.Fuzz(func(t *testing.T, log string) {
		date, err := newestLogDate(log)
		if err == nil && !date.IsZero() && date.Location() != time.UTC {
			t.Errorf("%v is not in UTC", date)
		}
	})
}

// testCVSRecord is a record in which every field has a value of its own.
func testCVSRecord() *treeRecord {
	return &treeRecord{
		revision: newCVSRevision(testbed.TheTime, [32]byte{1, 2}), module: "a b", port: "22", root: "/srv", repository: "/srv/a b",
		branch: "stable", digest: [32]byte{3}, stamp: 4, files: []recordedFile{
			{"a", 0o100644, 5, 6, 7, 8, [32]byte{9}, "1.1"},
			{"b\n\xff \"", 0o100755, 10, -11, 12, 1 << 63, [32]byte{13}, "1.2.4.1"},
		},
	}
}

func TestCVSRecordIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	want := testCVSRecord()
	data := want.encode()
	got, err := decodeCVSRecord(data)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v, want %+v", got, err, want)
	}
	for i := range data {
		damaged := bytes.Clone(data)
		damaged[i] ^= 1
		if _, err := decodeCVSRecord(damaged); err == nil {
			t.Fatalf("byte %d was damaged, and nobody noticed", i)
		}
		if _, err := decodeCVSRecord(data[:i]); err == nil {
			t.Fatalf("%d bytes are a record", i)
		}
	}
}

func FuzzCVSRecord(f *testing.F) {
	f.Add(testCVSRecord().encode())
	f.Add([]byte(cvsRecordHeader))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := decodeCVSRecord(data); err == nil && !bytes.Equal(r.encode(), data) {
			t.Errorf("%q is read as %q", data, r.encode())
		}
	})
}

func TestRewoundRevisions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		was, is string
		want    bool
	}{
		{"1.1", "1.1", false}, {"1.1", "1.2", false}, {"1.9", "1.10", false}, {"1.1.1.1", "1.2", false},
		{"1.3", "1.3.2.1", false}, {"1.2", "1.1", true}, {"1.10", "1.9", true}, {"1.3.2.1", "1.3", true},
	} {
		old, fresh := testCVSRecord(), testCVSRecord()
		old.files[0].revision, fresh.files[0].revision = test.was, test.is
		if got := fresh.rewinds(old); got != test.want {
			t.Errorf("from %s to %s: %t", test.was, test.is, got)
		}
	}
}

func TestScrambleCVS(t *testing.T) {
	t.Parallel()
	if got := scrambleCVS("pw"); got != "A:3" { // as "cvs login" writes it
		t.Errorf("%q", got)
	}
	for b := range 256 {
		if back := cvsScramble[cvsScramble[b]]; back != byte(b) {
			t.Errorf("%d goes to %d, and that to %d", b, cvsScramble[b], back)
		}
	}
}

// FuzzCVSRoot holds that the name which the client is given means the same repository, and shows no password.
func FuzzCVSRoot(f *testing.F) {
	for _, seed := range []string{":pserver:anonymous:secret@cvs.example.com:2401/srv/cvs", ":ext:a@h:/cvs", "/srv/cvs/",
		":local:/cvs", ":fork:/cvs", "h:/cvs", ":pserver;proxy=p:h/cvs", ":ext:h:22/cvs", "a:b@h:/c", ":pserver:a@b:c@h:/x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := parseCVSRoot(raw)
		if err != nil {
			return
		}
		given := r.String()
		again, err := parseCVSRoot(given)
		if err != nil {
			t.Fatalf("%q is given to the client as %q: %v", raw, given, err)
		}
		r.password = ""
		if r.method == cvsExt {
			r.port = "" // ssh is told apart
		}
		if again != r {
			t.Fatalf("%q is %+v, and given to the client as %q, which is %+v", raw, r, given, again)
		}
		if !filepath.IsAbs(r.path) || strings.HasPrefix(r.host, "-") || strings.HasPrefix(given, "-") {
			t.Fatalf("%q is %+v", raw, r)
		}
	})
}
