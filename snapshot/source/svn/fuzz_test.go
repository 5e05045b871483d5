package svn

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzSVNXML holds of what svn writes that an answer which is cut off is never taken for a whole one, and that what is
// read is text that stands in it.
func FuzzSVNXML(f *testing.F) {
	for _, seed := range []string{
		`<?xml version="1.0" encoding="UTF-8"?>
<info>
<entry kind="dir" path="." revision="7">
<url>file:///srv/svn/trunk</url>
<relative-url>^/trunk</relative-url>
<repository><root>file:///srv/svn</root><uuid>5e7d134a-54fb-0310-bd04-b611643e5c25</uuid></repository>
<wc-info><wcroot-abspath>/etc/etchserver/trunk</wcroot-abspath><schedule>normal</schedule><depth>infinity</depth></wc-info>
<commit revision="6"><author>a</author><date>2026-11-20T12:34:56.123456Z</date></commit>
</entry>
</info>
`, `<?xml version="1.0" encoding="UTF-8"?>
<status><target path="."><entry path="a &amp; b"><wc-status item="modified" props="none" switched="true" revision="3"/>
<repos-status item="none" props="none"/></entry></target><changelist name="c"><entry path="x"><wc-status item="added" props="normal"/></entry></changelist></status>
`, `<?xml version="1.0" encoding="UTF-8"?>
<properties><target path="/wc/a"><property name="svn:externals">^/x y&#13;
</property></target></properties>
`, `<?xml version="1.0" encoding="UTF-8"?>
<lists><list path="file:///srv/svn"><entry kind="file"><name>a/b</name><size>12</size><commit revision="1"/></entry>
<entry kind="dir"><name>c</name></entry></list></lists>
`, `<info/>`, `<status><target/></status>`, `<?xml version="1.0" encoding="latin1"?><info/>`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		whole := bytes.TrimRight(out, " \t\r\n")
		// A comment or an instruction may follow the end of the document.
		judged := !bytes.Contains(out, []byte("<!")) && bytes.Count(out, []byte("<?")) <= 1
		for what, parse := range map[string]func([]byte) error{
			"info":       func(out []byte) error { _, err := parseInfo(out); return err },
			"status":     func(out []byte) error { _, err := parseStatus(out); return err },
			"properties": func(out []byte) error { _, err := parseProperties(out, "/wc"); return err },
			"list":       func(out []byte) error { _, err := parseList(out); return err },
		} {
			if parse(out) != nil || !judged || wellEnded(whole[:max(0, len(whole)-1)]) {
				continue
			}
			if parse(whole[:len(whole)-1]) == nil {
				t.Errorf("%s: %q is taken for whole without its last byte", what, out)
			}
		}
		listed, err := parseList(out)
		for _, l := range listed {
			if err == nil && !utf8.ValidString(l.Name) {
				t.Errorf("the name %q", l.Name)
			}
		}
	})
}

// wellEnded reports whether the first element of a document is whole.
func wellEnded(text []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(text))
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return false
		}
		switch token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			if depth--; depth == 0 {
				return true
			}
		}
	}
}

// FuzzSVNURL holds that a URL that is accepted is itself, whatever its spelling, and names nothing that a program takes
// for an option.
func FuzzSVNURL(f *testing.F) {
	for _, seed := range []string{"svn://svn.example.com/etch/trunk", "svn+ssh://a@h:22/x", "file:///srv/svn/a b", "https://h/%20x/",
		"http://u:p@h/x", "svn://-x/", "svn://-u@h/", "svn+x://h", "file://localhost/x", "ssh://h/x", "svn://[::1]/x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := parseSVNURL(raw)
		if err != nil {
			return
		}
		if strings.HasPrefix(raw, "-") || strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(u.User.Username(), "-") {
			t.Fatalf("%q is accepted", raw)
		}
		if again, err := parseSVNURL(u.String()); err != nil || again.String() != u.String() {
			t.Fatalf("%q is %q, and that is %v, %v", raw, u, again, err)
		}
		if !sameSVN(raw, u.String()) {
			t.Fatalf("%q is said to be another than %q", raw, u)
		}
	})
}

// FuzzSVNVersion holds that what svnversion writes is understood or refused.
func FuzzSVNVersion(f *testing.F) {
	for _, seed := range []string{"4168", "4123:4168", "4168M", "4212S", "4168P", "4123:4168MSP", "Unversioned directory", "exported", "", "1:2:3", "-1", "M"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseVersion(text)
		if err != nil {
			return
		}
		again := v.low
		if strings.Contains(text, ":") {
			again += ":" + v.high
		} else if v.high != v.low {
			t.Fatalf("%q is %+v", text, v)
		}
		for _, flag := range []struct {
			letter string
			set    bool
		}{{"M", strings.Contains(text, "M")}, {"S", v.switched}, {"P", v.partial}} {
			if flag.set {
				again += flag.letter
			}
		}
		if again != text {
			t.Fatalf("%q is %+v, which is written %q", text, v, again)
		}
	})
}
