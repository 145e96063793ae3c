using MediatR;
using Platform.Inference.Contracts;
using Platform.Inference.Predictions;
using Platform.Kernel;

namespace Platform.Inference.Integration;

/// <summary>Answers billing with the tallies that were counted in the transactions of the journal rows themselves.</summary>
internal sealed class AnswerGetJournalUsage(JournalReader journal, CallerScope scope) : IRequestHandler<GetJournalUsage, IReadOnlyList<UsageLine>>
{
    public Task<IReadOnlyList<UsageLine>> Handle(GetJournalUsage request, CancellationToken ct) => journal.UsageAsync(scope.Current.Tenant, request.From, request.To, ct);
}
