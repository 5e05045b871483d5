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
