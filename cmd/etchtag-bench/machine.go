package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// tools are what etchtag is measured against, and what else the benchmark can use.
var tools = []string{"git", "tar", "cp", "rm", "rsync", "strace"}

// describeMachine says on what the figures are measured, a line each.
func describeMachine(b *bench) []string {
	var kernel unix.Utsname
	_ = unix.Uname(&kernel) // cannot fail for a buffer of ours
	lines := []string{
		fmt.Sprintf("machine      %s, %d cores, load %s", orUnknown(cpuModel()), runtime.NumCPU(), orUnknown(load())),
		fmt.Sprintf("kernel       Linux %s", unix.ByteSliceToString(kernel.Release[:])),
		fmt.Sprintf("file system  %s", orUnknown(fileSystem(b.dir))),
		fmt.Sprintf("tree         %d files in %d directories, %d commits", b.size.files, b.size.dirs, b.size.commits),
	}
	var versions, missing []string
	for _, tool := range tools {
		if b.has(tool) {
			versions = append(versions, tool+" "+orUnknown(toolVersion(tool)))
		} else {
			missing = append(missing, tool)
		}
	}
	lines = append(lines, "tools        "+strings.Join(append(versions, runtime.Version()), ", "))
	if len(missing) > 0 {
		lines = append(lines, "missing      "+strings.Join(missing, ", "))
	}
	return lines
}

func orUnknown(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}

func cpuModel() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	for l := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// load is the average number of runnable processes in the last minute.
func load() string {
	data, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(data), " ")
	return first
}

// fileSystem is the type of the file system that a directory is on, from its device in the table of mounts.
func fileSystem(dir string) string {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return ""
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	data, _ := os.ReadFile("/proc/self/mountinfo")
	return mountedType(string(data), device)
}

// mountedType finds the type of a device, MAJOR:MINOR, in a table of the form of /proc/self/mountinfo.
func mountedType(table, device string) string {
	for l := range strings.Lines(table) {
		mount, kind, ok := strings.Cut(l, " - ")
		if f := strings.Fields(mount); ok && len(f) > 2 && f[2] == device {
			kind, _, _ = strings.Cut(kind, " ")
			return kind
		}
	}
	return ""
}

// toolVersion is the first word of what a tool says of its version that begins with a digit.
func toolVersion(tool string) string {
	out, _ := exec.CommandContext(context.Background(), tool, "--version").Output()
	for _, word := range strings.Fields(string(out)) {
		if word[0] >= '0' && word[0] <= '9' {
			return word
		}
	}
	return ""
}
