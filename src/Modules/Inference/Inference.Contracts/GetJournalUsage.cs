using MediatR;

namespace Platform.Inference.Contracts;

/// <summary>The journal's own count of the calling tenant's predictions in [From, To) days (UTC), exact to the last answered prediction in durable mode:
/// it is written in the same transaction as the journal rows.</summary>
public sealed record GetJournalUsage(DateOnly From, DateOnly To) : IRequest<IReadOnlyList<UsageLine>>;

/// <summary>Predictions (rows answered, not calls) of one endpoint on one day at one price.</summary>
public sealed record UsageLine(string Endpoint, DateOnly Day, string PriceClass, long Predictions);

/// <summary>An endpoint began, changed or ended serving.</summary>
public sealed record EndpointChanged(string Tenant, string Endpoint, string Model, string AliasOrVersion, bool Retired) : INotification;
