// Package parsetest has texts to begin with for who tests readers of YAML.
package parsetest

// YAML returns documents at the border between the quick reader and the full one.
func YAML() []string {
	return []string{
		"", "---\n", "# c\n---\na:\n- x\n- y\nb:\n  - z # c\n\n  # c\nc: [x, y]\n", "a: x\nb:\nc: ~\n",
		"a: {groups: [x, y], tag: trunk}\nb:\n  groups:\n  - x\n  tag: tags/x\nc: {}\n",
		"a: &l [x]\nb: *l\n", "a: x\n  y\n", "a:\n- x\n y\n", "a: 'it''s'\nb: \"x\\ty\"\n", "a: [x,\n y]\n",
		"a: x#y\nb: x #y\n", "a : x\n", "a:x\n", "- a\n", "a: [x]]\n", "a: [x,]\n", "a: [,]\n", "a: {b: {c: d}}\n",
		"10: no\n1.5: 2026-11-22\n0x1f: 1e3\n", "a:\n    - x\n  - y\n", "a:\n  b:\n    c: d\n", "\ta: x\n", "a: x\r\n",
		"a: \"b\": c\n", "'a': x\n\"b\": y\n", "a: - x\n", "a:\n- - x\n", "a:\n-\n- x\n", "a: null\nb: NULL\nNull: x\n",
		"a: [x]\n---\nb: [y]\n", "...\n", "a: 'x\n", "a: \"x\\ty\"\n", "a: 'it''s'\n", "a:\n  b:\n- x\n", "%YAML 1.1\n---\na: x\n", "? a\n: b\n", "a: |\n  x\n", "<<: {a: x}\n", "a: b: c\n",
		"a: [x: y]\n", "a: {x}\n", "a: {x: }\n", "a: {x: ,}\n", "a: {x: y z}\n", "a: x y\n", "a: .5\n", "a: [a/b, c+d, e@f]\n",
		"a: '#x'\n", "a: ''\n", "a: [[x]]\n", "a: [x] # c\n", "a: [x]# c\n", "a: 'x'# c\n", "a:  # c\n  - x\n",
		"a:\n  - x\n  b: y\n", "a:\n  b: x\n  - y\n", " a: x\n", "a: x\n b: y\n", "a:\n- x: y\n", "a: *b\n", "a: !t x\n",
	}
}
