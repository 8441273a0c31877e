// SPDX-License-Identifier: GPL-2.0-only

package kernels

// KernelInfo is what a running kernel says about itself, as far as it decides the code that its
// JIT emits. A capture's header holds it; a target is chosen from it.
type KernelInfo struct {
	Release string // uname -r, such as "6.12.107+deb13-cloud-amd64"
	Version string // uname -v
	Cmdline string // kernel command line; may be incomplete

	CPUVendor string // such as "GenuineIntel"
	CPUModel  string
	CPUFlags  []string // of /proc/cpuinfo, in its order
	CPUBugs   []string

	// Vulnerabilities maps the names in /sys/devices/system/cpu/vulnerabilities to their texts.
	Vulnerabilities map[string]string
	// Config maps kernel configuration options to their values, "n" for options that are not set.
	// Options that are not recorded are absent.
	Config map[string]string
}
