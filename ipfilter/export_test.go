// SPDX-License-Identifier: Apache-2.0

package ipfilter

// ParseCountryDB reads a country file from memory.
var ParseCountryDB = parseCountryDB
