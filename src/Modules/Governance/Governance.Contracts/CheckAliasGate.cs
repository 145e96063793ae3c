using MediatR;

namespace Platform.Governance.Contracts;

/// <summary>Asked by the registry before an alias moves: may this version take it? Only <c>champion</c> is gated unless the tenant's policy says more.</summary>
/// <param name="Author">Subject of the version's author: an approval by the same subject does not count.</param>
public sealed record CheckAliasGate(string Model, int Version, string Alias, string Author) : IRequest<GateAnswer>;

/// <summary>Whether the alias may move; <paramref name="Reason"/> and <paramref name="Mend"/> are for the person who was refused.</summary>
/// <param name="ApprovalId">The approval that opened the gate, for the audit trail; null when the gate does not apply.</param>
public sealed record GateAnswer(bool Allowed, string Reason, string? Mend, Guid? ApprovalId);
