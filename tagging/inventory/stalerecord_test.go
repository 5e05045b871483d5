package inventory

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func testRecord() record {
	return newRecord("cmdb", "h", time.Date(2026, 11, 22, 9, 0, 0, 7, time.UTC), webAnswer)
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		r := record{Inventory: text.Draw(t, "inventory"), Host: text.Draw(t, "host"), Pin: text.Draw(t, "pin"),
			PinFrom: text.Draw(t, "from"), Time: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "time"), 5).UTC()}
		if groups := rapid.SliceOf(text).Draw(t, "groups"); len(groups) > 0 {
			r.Groups = groups
		}
		data, err := r.encode()
		if err != nil {
			t.Skip(err) // too long
		}
		if back, err := decodeRecord(data); err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("got %+v, %v\nwant %+v", back, err, r)
		}
	})
}

func TestAnswersThatCannotBeRecorded(t *testing.T) {
	for _, a := range []Answer{
		{Known: true, Groups: []string{"\xff"}}, {Known: true, Pin: "a\xc3"},
		{Known: true, Groups: []string{strings.Repeat("x", maxRecord)}},
	} {
		if data, err := newRecord("cmdb", "h", time.Unix(1, 0), a).encode(); err == nil {
			t.Errorf("%.50v takes %d bytes", a, len(data))
		}
	}
}

func TestDamagedRecordsAreNoAnswer(t *testing.T) {
	whole, err := testRecord().encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if r, err := decodeRecord(whole[:n]); err == nil {
			t.Errorf("the first %d bytes: %+v", n, r)
		}
		zeroed := bytes.Clone(whole)
		clear(zeroed[n:])
		flipped := bytes.Clone(whole)
		flipped[n] ^= 1
		for _, data := range [][]byte{zeroed, flipped} {
			if r, err := decodeRecord(data); err == nil {
				t.Errorf("damaged at %d: %+v", n, r)
			}
		}
	}
	if r, err := decodeRecord(append(whole, '\n')); err == nil {
		t.Errorf("with a byte more: %+v", r)
	}
}

// FuzzRecord reads records with any content, also behind a right checksum.
func FuzzRecord(f *testing.F) {
	whole, err := testRecord().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	for _, seed := range []string{
		"", recordMagic, `{"host":"h","time":"2026-11-22T09:00:00+14:00","groups":["a",null]}`, "null", "{}{}",
		`{"time":"0000-01-01T00:00:00+23:59"}`, "{\"host\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sealed := []byte(recordMagic + bodySum(string(data)) + string(data))
		for _, data := range [][]byte{data, sealed} {
			r, err := decodeRecord(data)
			if err != nil {
				continue
			}
			again, err := r.encode()
			if err != nil { // such as a year before 0 in UTC
				continue
			}
			if back, err := decodeRecord(again); err != nil || !back.tells(r.answer()) || !back.Time.Equal(r.Time) {
				t.Errorf("%+v comes back as %+v, %v", r, back, err)
			}
		}
	})
}
