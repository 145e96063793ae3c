using MediatR;
using Platform.Kernel;

namespace Platform.Inference.Contracts;

/// <summary>What the calling tenant's endpoints did in the last five minutes on this replica, for the overview.</summary>
[Needs("inference:read")]
public sealed record GetServingFigures : IRequest<Result<ServingFigures>>;

/// <param name="Endpoints">Names of the endpoints that serve now.</param>
/// <param name="Slices">Five seconds each, oldest first, summed over the endpoints.</param>
/// <param name="Refusals">Refused calls by code, since the start.</param>
public sealed record ServingFigures(IReadOnlyList<string> Endpoints, IReadOnlyList<ServingSlice> Slices, IReadOnlyDictionary<string, long> Refusals);

/// <summary>Five seconds. Latencies in milliseconds, those of the slowest endpoint; null when nothing was answered.</summary>
public sealed record ServingSlice(DateTimeOffset At, long Predictions, long Refusals, double? P50, double? P99);
