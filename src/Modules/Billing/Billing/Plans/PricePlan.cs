using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Billing.Contracts;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Billing.Plans;

/// <summary>Makes a plan or gives it a new price, quota and limits, from now on, for every tenant on it. What was predicted before keeps its price.</summary>
internal static class PricePlan
{
    /// <param name="PricePerPrediction">For one predicted row, 0 to 1 000 000, at most 8 decimals.</param>
    /// <param name="Currency">ISO 4217, such as EUR.</param>
    /// <param name="MonthlyQuota">Predictions a calendar month (UTC); leave out for no limit.</param>
    /// <param name="RequestsPerSecond">Of a tenant, on each server; leave out for the host's own limit, which is the ceiling too.</param>
    /// <param name="Burst">Requests at once after a pause, of a tenant and of each of its keys; leave out for the host's own.</param>
    /// <param name="RequestsPerSecondPerKey">Of each key of a tenant, on each server; leave out for the host's own limit.</param>
    /// <param name="MaxConcurrent">Requests of a tenant under way at once, on each server; leave out for the host's own limit.</param>
    internal sealed record Body(
        decimal PricePerPrediction, string Currency, long? MonthlyQuota = null,
        double? RequestsPerSecond = null, int? Burst = null, double? RequestsPerSecondPerKey = null, int? MaxConcurrent = null);

    [Needs(Permissions.ManagePlans)]
    internal sealed record Command(
        string Plan, decimal PricePerPrediction, string Currency, long? MonthlyQuota,
        double? RequestsPerSecond, int? Burst, double? RequestsPerSecondPerKey, int? MaxConcurrent) : IRequest<Result<PlanView>>
    {
        public RequestLimits Limits => new(RequestsPerSecond, Burst, RequestsPerSecondPerKey, MaxConcurrent);
    }

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Plan).IsName();
            RuleFor(c => c.PricePerPrediction).InclusiveBetween(0, 1_000_000).Must(p => decimal.Round(p, 8) == p).WithMessage("A price has at most 8 decimals.");
            RuleFor(c => c.Currency).Must(c => c is { Length: 3 } && c.All(char.IsAsciiLetterUpper)).WithMessage("A currency is three capital letters, such as EUR.");
            RuleFor(c => c.MonthlyQuota).GreaterThanOrEqualTo(0);
            RuleFor(c => c.RequestsPerSecond).InclusiveBetween(0.001, 1_000_000);
            RuleFor(c => c.Burst).InclusiveBetween(1, 100_000);
            RuleFor(c => c.RequestsPerSecondPerKey).InclusiveBetween(0.001, 1_000_000);
            RuleFor(c => c.MaxConcurrent).InclusiveBetween(1, 100_000);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPut("plans/{plan}", Put).WithName(nameof(PricePlan)).Needs(Permissions.ManagePlans).WithSummary("Create a plan or change its price, quota and limits");

    private static Task<Results<Ok<PlanView>, ProblemHttpResult>> Put(string plan, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(
            plan, body.PricePerPrediction, body.Currency, body.MonthlyQuota, body.RequestsPerSecond, body.Burst, body.RequestsPerSecondPerKey, body.MaxConcurrent), ct).ToOk();

    internal sealed class Handler(IDocumentSession session, PlanBook book) : IRequestHandler<Command, Result<PlanView>>
    {
        public async Task<Result<PlanView>> Handle(Command command, CancellationToken ct)
        {
            var stream = await session.Events.FetchForWriting<Plan>(Plan.Key(command.Plan), ct);
            var now = (stream.Aggregate ?? await book.FindAsync(command.Plan, ct))?.Current;
            if (now is not { } current || (current.PricePerPrediction, current.Currency, current.MonthlyQuota, current.Limits ?? RequestLimits.None)
                != (command.PricePerPrediction, command.Currency, command.MonthlyQuota, command.Limits))
            {
                stream.AppendOne(new PlanPriced(command.PricePerPrediction, command.Currency, command.MonthlyQuota, command.Limits));
                await session.SaveChangesAsync(ct);
            }

            return PlanView.Of((await book.FindAsync(command.Plan, ct))!);
        }
    }
}
