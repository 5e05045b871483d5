package term

import "testing"

func TestTextFromOutsideCannotSteerATerminal(t *testing.T) {
	for in, want := range map[string]string{"web1": "web1", "Zürich": "Zürich", "a b": "a b", "": "",
		"a\x1b[2Jb": `"a\x1b[2Jb"`, "a\nb": `"a\nb"`, "\xff": `"\xff"`, "a\u202eb": `"a\u202eb"`} {
		if got := Printable(in); got != want {
			t.Errorf("%q is shown as %s, want %s", in, got, want)
		}
	}
}

func TestAFindingStaysOnItsLine(t *testing.T) {
	if got := OneLine("a\n  b\r\nc\x1b[31m\x9b\t"); got != "a b c?[31m\uFFFD" {
		t.Errorf("got %q", got)
	}
}
