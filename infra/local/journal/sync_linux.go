package journal

import (
	"errors"
	"os"
	"syscall"
)

// allocate reserves size bytes that read as zero; file systems that cannot get a sparse file.
func allocate(f *os.File, size int64) error {
	err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		info, serr := f.Stat()
		if serr != nil || info.Size() >= size {
			return serr
		}
		return f.Truncate(size)
	}
	return err
}

// syncData leaves out the times of the file, which nobody needs.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
