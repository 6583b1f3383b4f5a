package functionapp

import "syscall"

// ownGroup keeps a terminal's Ctrl-C from reaching the handler before the host
// has stopped its triggers, and lets no handler outlive a killed host.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
