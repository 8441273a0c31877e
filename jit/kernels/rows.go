// SPDX-License-Identifier: GPL-2.0-only

package kernels

// Rows are the kernels that were looked at, oldest first.
var Rows = []Row{
	{
		Version: Version{4, 9}, Patch: 45, Source: "Linux 4.9.45, from source", Longterm: true,
		Sources: []string{""},
		Offsets: offsets55, Context: Context510,
	},
	{
		Version: Version{4, 14}, Patch: 5, Source: "Linux 4.14.5, from source", Longterm: true,
		Sources: []string{""},
		Offsets: offsets55, Context: Context510,
	},
	{
		Version: Version{5, 4}, Patch: 18, Source: "Linux 5.4.18, from source", Longterm: true,
		Sources: []string{""},
		Offsets: offsets55, Context: Context510,
	},
	{
		Version: Version{5, 10}, Patch: 223, Source: "Debian 5.10.223", Longterm: true,
		Captures: []string{"", "retpoline", "lfence", "retpoline-srso"},
		Named:    []string{"unrounded", "inline-unrounded"},
		Offsets:  offsets510, Context: Context510,
	},
	{
		Version: Version{5, 15}, Patch: 135, Source: "Linux 5.15.135, from source", Longterm: true,
		Sources: []string{""},
		Offsets: offsets510, Context: Context510,
	},
	{
		Version: Version{6, 1}, Patch: 176, Source: "Debian 6.1.176", Longterm: true,
		Captures: []string{"", "retpoline", "lfence", "retpoline-its", "retpoline-srso"},
		Build:    Build{SLS: true, Thunks: true},
		Offsets:  offsets510, Context: Context61,
	},
	{
		Version: Version{6, 6}, Patch: 57, Source: "Linux 6.6.57, from source", Longterm: true,
		Offsets: offsets510, Context: Context61,
	},
	{
		Version: Version{6, 12}, Patch: 107, Source: "Debian 6.12.107", Longterm: true,
		Captures: []string{"", "retpoline", "lfence", "retpoline-its", "retpoline-srso", "stuff", "nobmi2", "kcfi", "fineibt"},
		Build:    Build{ENDBR: true, SLS: true, Thunks: true, CallThunks: []string{"htab_map_update_elem"}},
		Offsets:  Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x108, ProgBPFFunc: 0x30}, Context: Context612,
	},
	{
		Version: Version{6, 16}, Patch: 12, Source: "Debian 6.16.12",
		Captures: []string{""},
		Build:    Build{ENDBR: true, SLS: true, Thunks: true},
		Offsets:  offsets616, Context: Context612,
	},
	{
		Version: Version{6, 18}, Patch: 44, Source: "6.18.44", Longterm: true,
		Captures: []string{""},
		Build:    Build{Thunks: true},
		Offsets:  Offsets{MapMaxEntries: 0x4c, ArrayPtrs: 0x138, ProgBPFFunc: 0x48}, Context: Context618,
	},
	{
		Version: Version{7, 2}, Patch: 13, Source: "Debian 7.2.13",
		Captures: []string{"", "retpoline", "retpoline-its", "its", "retpoline-unret", "stuff", "nobmi2"},
		Sources:  []string{"fineibt-bhi"},
		Named:    []string{"kcfi", "fineibt", "fineibt-bhi"},
		Build:    Build{ENDBR: true, SLS: true, Thunks: true, CallThunks: []string{"__htab_map_lookup_elem"}},
		Offsets:  Offsets{MapMaxEntries: 0x4c, ArrayPtrs: 0x130, ProgBPFFunc: 0x48}, Context: Context612,
	},
	{
		Version: Version{7, 3}, Patch: 4, Source: "Debian 7.3.4",
		Captures: []string{""},
		Build:    Build{ENDBR: true, SLS: true, Thunks: true},
		Offsets:  Offsets{MapMaxEntries: 0x44, ArrayPtrs: 0x128, ProgBPFFunc: 0x48}, Context: Context612,
	},
}

// Boot is a kernel that was booted and whose code was compared with that of its release, function by function: all
// of it was the same. No capture of it is kept here.
type Boot struct {
	Version   Version
	Kernel    string
	Functions int
}

// Boots are those kernels (docs/kernels.md, "Any release").
var Boots = []Boot{
	{Version{6, 17}, "Debian 6.17.13", 8164},
	{Version{6, 19}, "Debian 6.19.14", 8148},
	{Version{7, 0}, "Debian 7.0.13", 8142},
	{Version{7, 1}, "Debian 7.1.13", 8142},
}

// Where structures of several kernels have their fields.
var (
	offsets55  = Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0xd0, ProgBPFFunc: 0x30}
	offsets616 = Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x108, ProgBPFFunc: 0x30}
	offsets510 = Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x110, ProgBPFFunc: 0x30}
)
