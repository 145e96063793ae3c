using Platform.Governance.Approvals;
using Platform.Kernel;

namespace Governance.Tests.Approvals;

public sealed class DecisionTests
{
    private static readonly Approval Open = new(
        Approval.Key(Guid.NewGuid()), "house-prices", 3, "champion", "key:author", null, "key:author", DateTimeOffset.UnixEpoch, ApprovalStatus.Open, null, null, null);

    [Fact]
    public void Somebody_else_may_grant() => GrantApproval.Decide(Open, "key:other", "looks good").Value.Note.ShouldBe("looks good");

    [Fact]
    public void The_author_may_not() => GrantApproval.Decide(Open, "key:author", null).Refusal!.Code.ShouldBe("own-version");

    [Theory]
    [InlineData(ApprovalStatus.Granted)]
    [InlineData(ApprovalStatus.Rejected)]
    internal void What_is_decided_stays_decided(ApprovalStatus status)
    {
        GrantApproval.Decide(Open with { Status = status }, "key:other", null).Refusal!.Kind.ShouldBe(RefusalKind.Conflict);
        RejectApproval.Decide(Open with { Status = status }, "late").Refusal!.Kind.ShouldBe(RefusalKind.Conflict);
    }
}
