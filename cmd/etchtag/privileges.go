package main

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// keptCapabilities are what root needs of its power to look after files of other users: to read and write them, to set
// their modes, and to give what it replaces the same owner. The example units leave a service the same ones.
const keptCapabilities uint64 = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER

// dropPrivileges gives up what a daemon never needs, for good, for this process and for all that it starts: every
// capability but those kept, and the way to gain any by running a program that is setuid or has capabilities. Who runs
// as another user than root loses that way only.
//
// Linux keeps all of that for each thread, so it is done in all of them, which Go can do in a static binary only.
func dropPrivileges() error {
	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	for capability := uintptr(0); ; capability++ {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, capability, 0, 0, 0)
		if err != nil {
			break // the kernel knows no more of them
		}
		if held == 0 || keptCapabilities&(1<<capability) != 0 {
			continue
		}
		// Without CAP_SETPCAP the set has to stay, and no_new_privs keeps it from mattering.
		if err := onAllThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, capability); err != nil && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("drop capability %d from the bounding set: %w", capability, err)
		}
	}
	return keepCapabilities(keptCapabilities)
}

// keepCapabilities drops all capabilities but those in the set. The kernel drops them from the ambient ones, too.
func keepCapabilities(kept uint64) error {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := &[2]unix.CapUserData{} // the lower and the upper half of each set
	if err := unix.Capget(header, &data[0]); err != nil {
		return fmt.Errorf("read the capabilities: %w", err)
	}
	for i := range data {
		half := uint32(kept >> (32 * i))
		data[i].Effective &= half
		data[i].Permitted &= half
		data[i].Inheritable &= half
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(data)), 0)
	if errno != 0 {
		return fmt.Errorf("drop capabilities: %w", errno)
	}
	return nil
}

// onAllThreads makes a system call with two arguments, the others being zero, in every thread.
func onAllThreads(call, a, b uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall6(call, a, b, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
