//go:build !linux

package functionapp

import "syscall"

// ownGroup has no portable form: elsewhere the handler shares the host's group.
func ownGroup() *syscall.SysProcAttr { return nil }
