// SPDX-License-Identifier: Apache-2.0

package ranges

// LastAddr gives the last address of a prefix.
var LastAddr = lastAddr
