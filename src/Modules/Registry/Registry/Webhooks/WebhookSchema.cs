namespace Platform.Registry.Webhooks;

/// <summary>The tables of webhooks and of what is and was sent to them. Run by the owner role; every row is bound to its tenant by policy.</summary>
internal static class WebhookSchema
{
    public const string Sql =
        """
        create table if not exists registry.webhooks (
            tenant_id        text   not null,
            webhook_id       uuid   not null,
            name             text   collate "C" not null,
            description      text,
            url              text   not null,
            events           text[] not null,
            secret           bytea,            -- sealed with the tenant's data key
            active           boolean not null,
            disabled_because text,
            created_at       bigint not null,  -- times are milliseconds since 1970
            updated_at       bigint not null,
            wake_at          bigint,           -- when a job that is scheduled already looks again
            primary key (tenant_id, webhook_id)
        );

        create table if not exists registry.webhook_deliveries (
            tenant_id       text   not null,
            delivery_id     uuid   not null,   -- made of the webhook's and the event's, so that an event heard twice is sent once
            webhook_id      uuid   not null,
            sequence        bigint not null,   -- the order of what happened
            event           text   not null,
            payload         text   not null,
            occurred_at     bigint not null,
            state           text   not null check (state in ('PENDING', 'DELIVERED', 'FAILED')),
            attempts        int    not null default 0,
            due_at          bigint not null,
            last_attempt_at bigint,
            last_status     int,
            last_error      text,
            primary key (tenant_id, delivery_id)
        );
        create index if not exists webhook_deliveries_by_order on registry.webhook_deliveries (tenant_id, webhook_id, sequence);
        create index if not exists webhook_deliveries_pending on registry.webhook_deliveries (tenant_id, webhook_id, sequence) where state = 'PENDING';

        do $do$
        declare owned text;
        begin
            foreach owned in array array['webhooks', 'webhook_deliveries'] loop
                execute format('alter table registry.%I enable row level security', owned);
                execute format('drop policy if exists tenant on registry.%I', owned);
                execute format($p$create policy tenant on registry.%I using (tenant_id = current_setting('app.tenant_id', true))$p$, owned);
                execute format('grant select, insert, update, delete on registry.%I to platform_app', owned);
            end loop;
        end $do$;
        """;
}
