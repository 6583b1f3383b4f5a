//go:build !linux

package journal

import "os"

func allocate(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() >= size {
		return err
	}
	return f.Truncate(size)
}

func syncData(f *os.File) error { return f.Sync() }
