package inventory

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"pgregory.net/rapid"
)

// withTable returns the inventory in the file at path with a fresh table, which must be made.
func withTable(t rapid.TB, path string) *File {
	t.Helper()
	table := path + ".table"
	if rebuilt, err := RefreshFileTable(path, table, nil); err != nil || !rebuilt {
		t.Fatalf("refresh the table of %s: rebuilt %v, %v", path, rebuilt, err)
	}
	return NewFile(path, table)
}

// hostsFile writes a file with enough hosts for several blocks of a table.
func hostsFile(t rapid.TB, dir string) string {
	var text strings.Builder
	text.WriteString("pinned: {groups: [web, dev], tag: tags/release-7}\nbare:\n")
	for i := range 300 {
		text.WriteString("host" + strings.Repeat("x", i%40) + string(rune('a'+i/40)) + ": {groups: [web, g" +
			string(rune('a'+i%7)) + "]}\n")
	}
	path := filepath.Join(dir, "hosts.yml")
	inventorytest.WriteFile(t, path, text.String())
	return path
}

// fileAnswers returns the answers for some hosts of hostsFile and one other, without notes, and all notes.
func fileAnswers(t rapid.TB, f *File) (answers map[string]Answer, notes []string) {
	t.Helper()
	answers = map[string]Answer{}
	for _, host := range []string{"pinned", "bare", "hosta", "hostxxxxxh", "nobody"} {
		a := mustLookup(t, f, host)
		notes, a.Notes = append(notes, a.Notes...), nil
		answers[host] = a
	}
	return answers, notes
}

func TestFileTableAgreesWithTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fleet := inventorytest.GenFleet(200).Draw(t, "fleet")
		seen := map[string]bool{}
		for i, h := range fleet.Hosts {
			if name := strings.ToLower(h.Name); !seen[name] {
				fleet.Hosts[i].Pin = rapid.SampledFrom([]string{"", "trunk", "tags/x"}).Draw(t, "pin")
				seen[name] = true
			}
		}
		path := filepath.Join(inventorytest.TempDir(t), "hosts.yml")
		fleet.WriteFileKind(t, path)
		slow, quick := NewFile(path, ""), withTable(t, path)
		want := listAll(t, slow)
		if got := listAll(t, quick); !reflect.DeepEqual(got, want) {
			t.Fatalf("listed in the table %+v\nin the file %+v", got, want)
		}
		for _, host := range append([]string{"nobody", ""}, fleet.Names()...) {
			host = strings.ToLower(host)
			if got, want := mustLookup(t, quick, host), mustLookup(t, slow, host); !reflect.DeepEqual(got, want) {
				t.Fatalf("%q in the table %+v, in the file %+v", host, got, want)
			}
		}
	})
}

func TestFileTableIsMadeOnlyWhenTheFileHasChanged(t *testing.T) {
	path := hostsFile(t, t.TempDir())
	f := withTable(t, path)
	refresh := func(want bool) {
		t.Helper()
		if rebuilt, err := RefreshFileTable(path, f.table, nil); err != nil || rebuilt != want {
			t.Errorf("rebuilt %v, error %v", rebuilt, err)
		}
	}
	refresh(false)
	inventorytest.WriteFile(t, path, "pinned: {tag: trunk}\n")
	refresh(true)
	refresh(false)
	if a := mustLookup(t, f, "pinned"); a.Pin != "trunk" || len(a.Notes) > 0 {
		t.Errorf("got %+v", a)
	}
}

func TestFileTableIsNotUsedOnceTheFileIsAnother(t *testing.T) {
	changes := map[string]func(t *testing.T, path string){
		"written to": func(t *testing.T, path string) { inventorytest.WriteFile(t, path, "pinned: {tag: trunk}\n") },
		"written to, of the same size and with its time set back": func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			inventorytest.WriteFile(t, path, strings.Replace(string(data), "tags/release-7", "tags/release-8", 1))
			if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		},
		"replaced by another": func(t *testing.T, path string) {
			inventorytest.WriteFile(t, path+".new", "pinned: {tag: trunk}\n")
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		},
		"a link to another": func(t *testing.T, path string) {
			inventorytest.WriteFile(t, path+".new", "pinned: {tag: trunk}\n")
			if err := errors.Join(os.Remove(path), os.Symlink(path+".new", path)); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			path := hostsFile(t, t.TempDir())
			f := withTable(t, path)
			change(t, path)
			got, notes := fileAnswers(t, f)
			if want, _ := fileAnswers(t, NewFile(path, "")); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if len(notes) != len(got) || !strings.Contains(notes[0], "as it was before") {
				t.Errorf("notes %q", notes)
			}
		})
	}
	t.Run("removed", func(t *testing.T) {
		path := hostsFile(t, t.TempDir())
		f := withTable(t, path)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Lookup(t.Context(), "pinned"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFileTableThatIsOfNoUse(t *testing.T) {
	path := hostsFile(t, t.TempDir())
	good := withTable(t, path)
	want, _ := fileAnswers(t, NewFile(path, ""))
	data, err := os.ReadFile(good.table)
	if err != nil {
		t.Fatal(err)
	}
	all := listAll(t, NewFile(path, ""))
	damaged := map[string][]byte{
		"empty": {}, "text": []byte("a: {}\n"), "cut off": data[:len(data)-1], "header": flipped(data, 30),
	}
	for block := 1; (block+1)*tableBlock < len(data); block++ {
		damaged["block "+string(rune('0'+block))] = flipped(data, block*tableBlock+20)
	}
	for name, data := range damaged {
		t.Run(name, func(t *testing.T) {
			table := filepath.Join(t.TempDir(), "table")
			inventorytest.WriteFile(t, table, string(data))
			f := NewFile(path, table)
			got, notes := fileAnswers(t, f)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if len(notes) == 0 || !strings.Contains(notes[0], "damaged") || !strings.Contains(notes[0], "read in full") {
				t.Errorf("notes %q", notes)
			}
			if got := listAll(t, f); !sameHosts(got, all) {
				t.Errorf("listed %d hosts, want %d", len(got), len(all))
			}
			if rebuilt, err := RefreshFileTable(path, table, nil); !rebuilt || err != nil {
				t.Errorf("it is not healed: %v, %v", rebuilt, err)
			}
		})
	}
	t.Run("absent", func(t *testing.T) {
		got, notes := fileAnswers(t, NewFile(path, filepath.Join(t.TempDir(), "none")))
		if !reflect.DeepEqual(got, want) || len(notes) != len(got) || !strings.Contains(notes[0], "there is none yet") {
			t.Errorf("got %+v, notes %q", got, notes)
		}
	})
	t.Run("another file's", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "hosts.yml")
		inventorytest.WriteFile(t, other, "pinned: {tag: trunk}\n")
		if got, _ := fileAnswers(t, NewFile(path, withTable(t, other).table)); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v", got)
		}
	})
}

// sameHosts compares listings without their notes.
func sameHosts(a, b map[string]Answer) bool {
	for _, m := range []map[string]Answer{a, b} {
		for host, answer := range m {
			answer.Notes = nil
			m[host] = answer
		}
	}
	return reflect.DeepEqual(a, b)
}

func TestFileTableSaysThatTheFileHasAMistake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts.yml")
	compiled := path + ".table"
	inventorytest.WriteFile(t, path, "a: {}\nb:\n  group: [y]\n")
	for _, want := range []bool{true, false} {
		rebuilt, err := RefreshFileTable(path, compiled, nil)
		if rebuilt != want {
			t.Errorf("rebuilt: %v, want %v", rebuilt, want)
		}
		inventorytest.CheckFault(t, err, path, 3, "unknown key")
	}
	err := openTable(compiled, mustIdentify(t, path), func(*table) error { return nil })
	inventorytest.CheckFault(t, err, path, 3, "unknown key")
	_, err = NewFile(path, compiled).Lookup(t.Context(), "a")
	inventorytest.CheckFault(t, err, path, 3, "unknown key")
	inventorytest.WriteFile(t, path, "a: {}\n")
	if a := mustLookup(t, NewFile(path, compiled), "a"); !a.Known || len(a.Notes) != 1 {
		t.Errorf("mended: %+v", a)
	}
}

func mustIdentify(t testing.TB, path string) identity {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return identityOf(info)
}

func TestIdentityIsCodedWithoutLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := identity{rapid.Int64().Draw(t, "size"), rapid.Int64().Draw(t, "modified"), rapid.Int64().Draw(t, "changed"),
			rapid.Uint64().Draw(t, "inode"), rapid.Uint64().Draw(t, "device")}
		if got := decodeIdentity(i.append(nil)); got != i {
			t.Fatalf("got %+v, want %+v", got, i)
		}
	})
}

func TestFileIsCertainWhenAnotherChangeWouldShow(t *testing.T) {
	now := time.Unix(1_800_000_000, 500_000_000)
	tests := []struct {
		name    string
		changed time.Duration // after now
		want    bool
	}{
		{"in this tick", 0, false},
		{"just before, perhaps in this tick", -5 * time.Millisecond, false},
		{"in a tick before", -10 * time.Millisecond, true},
		{"in the future, since the clock was set", time.Hour, false},
		{"by a clock of whole seconds, in this second", -500 * time.Millisecond, false},
		{"by a clock of whole seconds, in the second before", -1500 * time.Millisecond, false},
		{"by a clock of whole seconds, two seconds before", -2500 * time.Millisecond, true},
	}
	for _, test := range tests {
		i := identity{changed: now.Add(test.changed).UnixNano()}
		if got := i.certainAt(now); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestNoTableIsMadeOfAFileWhoseNextChangeMightNotShow(t *testing.T) {
	path := hostsFile(t, t.TempDir())
	changed := time.Unix(0, mustIdentify(t, path).changed)
	clock := changed
	table := fileTable{path: path, table: path + ".table", now: func(*os.File) (time.Time, error) { return clock, nil }}
	if _, err := table.replace(); err == nil || !strings.Contains(err.Error(), "not past yet") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(table.table); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a table: %v", err)
	}
	clock = changed.Add(coarseTick)
	if _, err := table.replace(); err != nil {
		t.Errorf("once another change would show: %v", err)
	}
}

// A file that is written again and again as its table is made must never be read in an old state.
func TestFileThatChangesWhileItsTableIsMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts.yml")
	for i := range 200 {
		text := "h: {tag: tags/" + string(rune('a'+i%26)) + "}\n" // always of the same length
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
		file.Close()
		if a := mustLookup(t, NewFile(path, path+".table"), "h"); "h: {tag: "+a.Pin+"}\n" != text {
			t.Fatalf("change %d: got %+v, want %s", i, a, text)
		}
		if i%3 == 0 {
			if _, err := RefreshFileTable(path, path+".table", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestFileTableIsOpenToThoseToWhomTheFileIs(t *testing.T) {
	for mode, want := range map[fs.FileMode]fs.FileMode{0o644: 0o644, 0o604: 0o644, 0o666: 0o644, 0o640: 0o640,
		0o600: 0o600, 0o660: 0o640} {
		path := hostsFile(t, t.TempDir())
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(path, 1234, 5678); err != nil {
				t.Fatal(err)
			}
		}
		info, err := os.Stat(withTable(t, path).table)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("file %s: table %s, want %s", mode, info.Mode(), want)
		}
		if s := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 && want != 0o644 && (s.Uid != 1234 || s.Gid != 5678) {
			t.Errorf("file %s: the table belongs to %d:%d", mode, s.Uid, s.Gid)
		}
	}
}

func TestFaultsWhileAFileTableIsMade(t *testing.T) {
	path := hostsFile(t, t.TempDir())
	table := filepath.Join(t.TempDir(), "table")
	var labels []string
	for fail := 0; ; fail++ {
		n, injected := 0, errors.New("injected")
		labels = nil
		rebuilt, err := RefreshFileTable(path, table, func(label string) error {
			labels = append(labels, label)
			if n++; n > fail {
				return injected
			}
			return nil
		})
		if err == nil {
			if !rebuilt {
				t.Error("the table was not made in the end")
			}
			break
		}
		if rebuilt || !errors.Is(err, injected) || !strings.Contains(err.Error(), path) {
			t.Fatalf("step %d: %v, %v", fail, rebuilt, err)
		}
		want, _ := fileAnswers(t, NewFile(path, ""))
		if got, _ := fileAnswers(t, NewFile(path, table)); !reflect.DeepEqual(got, want) {
			t.Fatalf("step %d: got %+v", fail, got)
		}
		if labels[fail] == "sync file table" { // it is there, but might not survive
			if err := os.Remove(table); err != nil {
				t.Fatal(err)
			}
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(table), ".*")); err != nil || len(left) > 0 {
			t.Fatalf("step %d leaves %q", fail, left)
		}
	}
	want := []string{"create file table", "write file table", "rename file table", "sync file table"}
	if !slices.Equal(labels, want) {
		t.Errorf("steps %q", labels)
	}
}

func TestRefreshOfAFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hosts.yml")
	refresh := func() error {
		rebuilt, err := RefreshFileTable(path, filepath.Join(dir, "table"), nil)
		if rebuilt {
			t.Error("rebuilt")
		}
		return err
	}
	if err := refresh(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := refresh(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

// The table of a tag is not one of a file, and the other way round.
func TestTablesOfAnotherKindAreNotUsed(t *testing.T) {
	dir := inventorytest.TreeOf(t, "nodes.yml", "h: [a]\n")
	path := hostsFile(t, t.TempDir())
	data, err := os.ReadFile(withTable(t, path).table)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newTable(bytes.NewReader(data), int64(len(data)), identity{}); !errors.Is(err, errOutdated) {
		t.Errorf("a file's table taken for a tag's: %v", err)
	}
	a := mustLookup(t, NewFile(path, compileTable(t, dir)), "pinned")
	if a.Pin == "" || len(a.Notes) != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestTheTablesDirectoryMayBeNoLink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	path := hostsFile(t, dir)
	work := filepath.Join(dir, "work")
	for _, target := range []string{elsewhere, "."} {
		if err := os.Symlink(target, work); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := RefreshFileTable(path, filepath.Join(work, "table"), nil); err == nil {
			t.Errorf("a table is made through a link to %s", target)
		}
		after, err := os.ReadDir(dir)
		if left, elsewhereErr := os.ReadDir(elsewhere); len(left) > 0 || len(after) != len(before) || errors.Join(err, elsewhereErr) != nil {
			t.Errorf("through a link to %s: %v, %v, %v", target, left, after, err)
		}
		if err := os.Remove(work); err != nil {
			t.Fatal(err)
		}
	}
}
