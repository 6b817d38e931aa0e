// SPDX-License-Identifier: Apache-2.0

package retention

import "errors"

var (
	// ErrUnknownPolicy says that no policy has the given name.
	ErrUnknownPolicy = errors.New("retention: no such policy")
	// ErrNotApproved says that nobody has approved the policy as it is now on the schema as it is now.
	ErrNotApproved = errors.New("retention: the plan is not approved")
	// ErrPlanChanged says that the hash to approve is not that of the present policy and schema. Make a new dry
	// run and look at it.
	ErrPlanChanged = errors.New("retention: the plan has changed")
	// ErrNoApprover says that the context of an approval has no principal.
	ErrNoApprover = errors.New("retention: an approval needs a signed-in principal")
	// ErrBusy says that another runner holds the policy's lease.
	ErrBusy = errors.New("retention: another runner is at work on the policy")
	// ErrLeaseLost says that another runner took over or a new approval was given. The batch was rolled back.
	ErrLeaseLost = errors.New("retention: the lease was lost")
	// ErrTooMany says that the run would delete a larger share of the rows than the policy's MaxShare.
	ErrTooMany = errors.New("retention: the run would delete too large a share")
	// ErrClock says that the clock went backwards or jumped ahead since the policy was last run or approved.
	// When the clock is right, approve the plan again.
	ErrClock = errors.New("retention: the clock jumped")
)
