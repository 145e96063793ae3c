using System.Text.Json.Serialization;
using JasperFx;
using JasperFx.Events;
using Platform.Kernel;

namespace Platform.Governance.Approvals;

/// <param name="Author">Subject of the version's author, fixed when asked, so that it cannot be changed afterwards.</param>
internal sealed record ApprovalRequested(string Model, int Version, string Alias, string Author, string? Note);

internal sealed record ApprovalGranted(string? Note);

internal sealed record ApprovalRejected(string Reason);

internal enum ApprovalStatus
{
    Open,
    Granted,
    Rejected,
}

/// <summary>The question whether a model version may take an alias, and its answer. Who asked and who answered come from the events' own metadata.</summary>
/// <param name="ModelVersion">Not called Version, which the store takes for the stream's own and overwrites.</param>
internal sealed record Approval(
    string Id, string Model, int ModelVersion, string Alias, string Author, string? Note, string RequestedBy, DateTimeOffset RequestedAt,
    ApprovalStatus Status, string? DecidedBy, DateTimeOffset? DecidedAt, string? Reason) : IRevisioned
{
    /// <summary>The stream's revision, set by the store.</summary>
    public int Version { get; set; }

    public static string Key(Guid id) => $"approval:{id:N}";

    public Guid ApprovalId() => Guid.ParseExact(Id["approval:".Length..], "N");

    public static Approval Create(IEvent<ApprovalRequested> e) => new(
        e.StreamKey!, e.Data.Model, e.Data.Version, e.Data.Alias, e.Data.Author, e.Data.Note, e.UserName ?? "system", e.Timestamp, ApprovalStatus.Open, null, null, null);

    public Approval Apply(IEvent<ApprovalGranted> e) => this with { Status = ApprovalStatus.Granted, DecidedBy = e.UserName ?? "system", DecidedAt = e.Timestamp, Reason = e.Data.Note };

    public Approval Apply(IEvent<ApprovalRejected> e) => this with { Status = ApprovalStatus.Rejected, DecidedBy = e.UserName ?? "system", DecidedAt = e.Timestamp, Reason = e.Data.Reason };
}

/// <summary>An approval as the API and the pages show it. Subjects are <c>key:{id}</c> or <c>person:{id}</c>.</summary>
internal sealed record ApprovalView(
    Guid Id, string Model, int Version, string Alias, string Author, string? Note, string RequestedBy, DateTimeOffset RequestedAt,
    ApprovalStatus Status, string? DecidedBy, DateTimeOffset? DecidedAt, string? Reason) : IHasRevision
{
    [JsonIgnore]
    public long Revision { get; init; }

    public static ApprovalView Of(Approval a) => new(
        a.ApprovalId(), a.Model, a.ModelVersion, a.Alias, a.Author, a.Note, a.RequestedBy, a.RequestedAt, a.Status, a.DecidedBy, a.DecidedAt, a.Reason)
    { Revision = a.Version };
}
