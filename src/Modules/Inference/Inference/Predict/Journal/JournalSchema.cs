namespace Platform.Inference.Predict.Journal;

/// <summary>The journal's tables. Run by the owner role; the application's role <c>platform_app</c> gets no more than it needs.</summary>
/// <remarks>PostgreSQL refuses COPY into a table whose row-level policies bind the role, and a group commit holds rows of many tenants.
/// So the parent is read-only and bound to one tenant by policy, and its partitions are write-only: privileges of partitions are not asked for
/// when reading through the parent. Usage is counted by a trigger in the transaction of the rows themselves, so the two cannot differ.</remarks>
internal static class JournalSchema
{
    public const string Sql =
        """
        create schema if not exists inference;
        grant usage on schema inference to platform_app;

        create table if not exists inference.predictions (
            tenant_id     text        not null,
            id            uuid        not null,  -- version 7: its time is created_at
            created_at    timestamptz not null,
            endpoint      text        not null,
            model         text        not null,
            model_version int         not null,
            plan_version  int         not null,
            dialect       text        not null,  -- predict: named columns; v2: tensors
            units         int         not null check (units > 0),
            price_class   text        not null,
            caller        text        not null,
            inputs        json        not null,  -- as the caller sent them
            features      json,                  -- the feature view, the keys and the values that were added
            outputs       json        not null,
            intervals     json,
            parse_us      int         not null,
            features_us   int         not null,
            queue_us      int         not null,
            run_us        int         not null,
            primary key (tenant_id, id, created_at)
        ) partition by range (created_at);
        create index if not exists predictions_by_endpoint on inference.predictions (tenant_id, endpoint, id);

        create table if not exists inference.journal_usage (
            tenant_id   text     not null,
            endpoint    text     not null,
            day         date     not null,  -- UTC
            price_class text     not null,
            lane        smallint not null,  -- writers of different lanes do not wait for each other; readers add the lanes up
            predictions bigint   not null,
            primary key (tenant_id, day, endpoint, price_class, lane)
        ) with (fillfactor = 50);

        alter table inference.predictions enable row level security;
        drop policy if exists tenant on inference.predictions;
        create policy tenant on inference.predictions using (tenant_id = current_setting('app.tenant_id', true));
        grant select on inference.predictions to platform_app;

        alter table inference.journal_usage enable row level security;
        drop policy if exists tenant on inference.journal_usage;
        create policy tenant on inference.journal_usage using (tenant_id = current_setting('app.tenant_id', true));
        grant select on inference.journal_usage to platform_app;

        create or replace function inference.tally() returns trigger
        language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
        begin
            insert into inference.journal_usage as tally (tenant_id, day, endpoint, price_class, lane, predictions)
            select tenant_id, (created_at at time zone 'UTC')::date, endpoint, price_class, pg_backend_pid() & 7, sum(units)
            from added group by 1, 2, 3, 4 order by 1, 2, 3, 4
            on conflict (tenant_id, day, endpoint, price_class, lane)
            do update set predictions = tally.predictions + excluded.predictions;
            return null;
        end $$;

        -- Makes sure of the partitions of the month of first_day and of months_ahead more.
        create or replace function inference.ensure_partitions(months_ahead int, first_day date default (now() at time zone 'UTC')::date) returns void
        language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
        declare
            month date := date_trunc('month', first_day)::date;
            name  text;
        begin
            if months_ahead not between 0 and 24 then
                raise exception 'months_ahead must be between 0 and 24, not %', months_ahead;
            end if;
            perform pg_advisory_xact_lock(hashtext('inference.ensure_partitions'));
            for i in 0..months_ahead loop
                name := 'predictions_' || to_char(month, 'YYYY_MM');
                if to_regclass('inference.' || name) is null then
                    execute format('create table inference.%I partition of inference.predictions for values from (%L) to (%L)',
                        name, month::timestamp at time zone 'UTC', (month + interval '1 month')::timestamp at time zone 'UTC');
                    execute format('create trigger tally after insert on inference.%I referencing new table as added for each statement execute function inference.tally()', name);
                    execute format('grant insert on inference.%I to platform_app', name);
                end if;
                month := (month + interval '1 month')::date;
            end loop;
        end $$;

        -- Which of these predictions are in the journal: how a writer learns whether a commit it got no answer to happened.
        create or replace function inference.journal_has(ids uuid[], first timestamptz, last timestamptz) returns setof uuid
        language sql stable security definer set search_path = pg_catalog, pg_temp as $$
            select id from inference.predictions where id = any(ids) and created_at between first and last
        $$;

        revoke all on function inference.tally() from public;
        revoke all on function inference.ensure_partitions(int, date) from public;
        revoke all on function inference.journal_has(uuid[], timestamptz, timestamptz) from public;
        grant execute on function inference.ensure_partitions(int, date) to platform_app;
        grant execute on function inference.journal_has(uuid[], timestamptz, timestamptz) to platform_app;

        select inference.ensure_partitions(2);
        """;
}
